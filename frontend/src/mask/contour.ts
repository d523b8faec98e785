// The outline of a mask as a path in pixels of the image.

import type { Bounds, Mask } from "./mask";

const KERNEL = [0.0095, 0.2053, 0.5704, 0.2053, 0.0095]; // Gauss, sigma 0.7

/** A smooth outline between the pixels, as the program's pictures have it. */
export function smooth(mask: Mask): Path2D {
  const bounds = mask.bounds();
  if (!bounds) return new Path2D();
  const plain = field(mask, bounds);
  const blurred = blur(plain);
  // What is too thin to survive smoothing is shown as it is.
  return trace(blurred.values.some((value) => value > 0.5) ? blurred : plain);
}

/** The edges of the pixels themselves: what is stored, to be seen when zoomed in. */
export function exact(mask: Mask): Path2D {
  const path = new Path2D();
  const bounds = mask.bounds();
  if (!bounds) return path;
  for (let y = bounds.y0; y <= bounds.y1; y++) {
    for (let x = bounds.x0; x <= bounds.x1; x++) {
      const here = mask.has(x, y);
      if (here !== mask.has(x - 1, y)) {
        path.moveTo(x, y);
        path.lineTo(x, y + 1);
      }
      if (here !== mask.has(x, y - 1)) {
        path.moveTo(x, y);
        path.lineTo(x + 1, y);
      }
    }
  }
  return path;
}

/** The pixels themselves, as an area. */
export function blocks(mask: Mask): Path2D {
  const path = new Path2D();
  const bounds = mask.bounds();
  if (!bounds) return path;
  for (let y = bounds.y0; y < bounds.y1; y++) {
    for (let x = bounds.x0; x < bounds.x1; x++) {
      if (!mask.has(x, y)) continue;
      const start = x;
      while (mask.has(x + 1, y)) x++;
      path.rect(start, y, x + 1 - start, 1);
    }
  }
  return path;
}

interface Field {
  values: Float32Array;
  width: number;
  height: number;
  x: number;
  y: number;
}

function field(mask: Mask, bounds: Bounds): Field {
  const margin = 3;
  const width = bounds.x1 - bounds.x0 + 2 * margin;
  const height = bounds.y1 - bounds.y0 + 2 * margin;
  const values = new Float32Array(width * height);
  for (let y = bounds.y0; y < bounds.y1; y++) {
    const from = y * mask.width;
    values.set(
      mask.data.subarray(from + bounds.x0, from + bounds.x1),
      (y - bounds.y0 + margin) * width + margin,
    );
  }
  return { values, width, height, x: bounds.x0 - margin, y: bounds.y0 - margin };
}

function blur(plain: Field): Field {
  const { width, height } = plain;
  let values = plain.values;
  for (const step of [1, width]) {
    const next = new Float32Array(values.length);
    for (let y = 2; y < height - 2; y++) {
      for (let x = 2; x < width - 2; x++) {
        const at = y * width + x;
        let sum = 0;
        for (let k = -2; k <= 2; k++) sum += (KERNEL[k + 2] as number) * (values[at + k * step] as number);
        next[at] = sum;
      }
    }
    values = next;
  }
  return { ...plain, values };
}

const [T, R, B, L] = [0, 1, 2, 3];
/** For the corners inside (8 top left, 4 top right, 2 bottom right, 1 bottom left): from, to. */
const CELLS: readonly (readonly number[])[] = [
  [], [L, B], [B, R], [L, R], [R, T], [L, B, R, T], [B, T], [L, T],
  [T, L], [T, B], [T, L, B, R], [T, R], [R, L], [R, B], [B, L], [],
];

/** Marching squares at 0.5; every loop has its inside on the right. */
function trace(of: Field): Path2D {
  const { values, width, height } = of;
  const next = new Map<number, number>();
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const at = y * width + x;
      const inside = (index: number) => ((values[index] as number) > 0.5 ? 1 : 0);
      const cell =
        8 * inside(at) + 4 * inside(at + 1) + 2 * inside(at + width + 1) + inside(at + width);
      const segments = CELLS[cell] as readonly number[];
      // An edge is named by the sample at its start, twice, odd when it runs down.
      const edges = [2 * at, 2 * (at + 1) + 1, 2 * (at + width), 2 * at + 1];
      for (let i = 0; i < segments.length; i += 2) {
        next.set(edges[segments[i] as number] as number, edges[segments[i + 1] as number] as number);
      }
    }
  }
  const point = (edge: number): [number, number] => {
    const at = edge >> 1;
    const down = edge & 1;
    const [a, b] = [values[at] as number, values[at + (down ? width : 1)] as number];
    const share = (0.5 - a) / (b - a);
    const [x, y] = [at % width, Math.floor(at / width)];
    return [of.x + x + 0.5 + (down ? 0 : share), of.y + y + 0.5 + (down ? share : 0)];
  };
  const path = new Path2D();
  for (const start of [...next.keys()]) {
    if (!next.has(start)) continue;
    path.moveTo(...point(start));
    for (let edge = start; next.has(edge); ) {
      const to = next.get(edge) as number;
      next.delete(edge);
      edge = to;
      if (edge !== start) path.lineTo(...point(edge));
    }
    path.closePath();
  }
  return path;
}
