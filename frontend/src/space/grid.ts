// Voxels and millimetres of the volume that is shown, read from its NIfTI-1 header.

import type { Labels } from "../protocol";

export type Triple = [number, number, number];

const [HEADER, DATA_TYPE, BITS, SLOPE, CAL, VOXELS_AT, SFORM] = [352, 70, 72, 112, 124, 108, 280];
const UINT16 = 512;

export class Grid {
  private readonly header: DataView;

  constructor(readonly file: ArrayBuffer) {
    this.header = new DataView(file, 0, HEADER);
  }

  /** Centre of a voxel, in millimetres towards right, anterior, superior. */
  position(voxel: Triple): Triple {
    return [0, 1, 2].map((row) => {
      const [a, b, c, d] = [0, 1, 2, 3].map((column) => this.cell(row, column));
      return (a ?? 0) * voxel[0] + (b ?? 0) * voxel[1] + (c ?? 0) * voxel[2] + (d ?? 0);
    }) as Triple;
  }

  /** The voxel at a place: the inverse of `position`, between voxels too. */
  voxel(place: Triple): Triple {
    const column = (at: number) => [0, 1, 2].map((row) => this.cell(row, at)) as Triple;
    const [i, j, k, origin] = [column(0), column(1), column(2), column(3)];
    const from = place.map((each, axis) => each - (origin[axis] ?? 0)) as Triple;
    const volume = triple(i, j, k);
    return [triple(from, j, k) / volume, triple(i, from, k) / volume, triple(i, j, from) / volume];
  }

  /** A NIfTI file of labels on the same voxels. */
  labels(labels: Labels): ArrayBuffer {
    const [i, j, k] = labels.shape;
    const file = new ArrayBuffer(HEADER + 2 * i * j * k);
    new Uint8Array(file).set(new Uint8Array(this.file, 0, HEADER));
    const header = new DataView(file);
    header.setInt16(DATA_TYPE, UINT16, true);
    header.setInt16(BITS, 16, true);
    header.setFloat32(VOXELS_AT, HEADER, true);
    header.setFloat32(SLOPE, 1, true);
    header.setFloat32(SLOPE + 4, 0, true);
    header.setFloat32(CAL, 0, true);
    header.setFloat32(CAL + 4, 0, true);
    const voxels = new Uint16Array(file, HEADER);
    for (const [start, length, label] of labels.runs) voxels.fill(label, start, start + length);
    return file;
  }

  private cell(row: number, column: number): number {
    return this.header.getFloat32(SFORM + 16 * row + 4 * column, true);
  }
}

/** Signed volume that three vectors span. */
function triple(a: Triple, b: Triple, c: Triple): number {
  return (
    a[0] * (b[1] * c[2] - b[2] * c[1]) -
    a[1] * (b[0] * c[2] - b[2] * c[0]) +
    a[2] * (b[0] * c[1] - b[1] * c[0])
  );
}
