// The volume in three planes and in the round, drawn by NiiVue. Loaded when it is first asked for.

import { Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";

import type { Labels } from "../protocol";
import type { Window } from "../view/picture";
import { Grid, type Triple } from "./grid";

export type Layout = "all" | "axial" | "coronal" | "sagittal" | "render";

const KINDS: Record<Layout, SLICE_TYPE> = {
  all: SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  render: SLICE_TYPE.RENDER,
};
/** Depth, azimuth and elevation of a cut that takes the front away; and of none. */
const [FRONT_AWAY, WHOLE] = [[0, 180, 0], [2, 0, 0]];
/** From the front, a little from the side and from above. */
const SEEN_FROM = { azimuth: 160, elevation: 15 };
/** Of a mask over tissue in the planes, at full opacity. */
const FILL = 0.6;
/** How much of what lies inside shines through the surface of the body. */
const SHINE = 0.75;

interface Location {
  mm: ArrayLike<number>;
}

/** Red, green, blue, 0..255, and opacity, 0..1, of a label. */
export type Paint = (label: Labels["structures"][number]) => [number, number, number, number];

export class Scene {
  private readonly niivue: Niivue;
  private grid: Grid | null = null;
  private labels: Labels | null = null;
  private azimuth = SEEN_FROM.azimuth;
  private elevation = SEEN_FROM.elevation;
  private due: Promise<void> | null = null;

  /** `moved` hears where the cross is, in millimetres. */
  constructor(moved: (place: Triple) => void) {
    this.niivue = new Niivue({
      backColor: [7 / 255, 9 / 255, 11 / 255, 1],
      crosshairColor: [0.44, 0.74, 0.94, 0.8],
      crosshairWidth: 0.75,
      clipPlaneColor: [0, 0, 0, 0],
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      multiplanarShowRender: SHOW_RENDER.ALWAYS,
      renderOverlayBlend: SHINE,
      showAllOrientationMarkers: true,
      multiplanarPadPixels: 14,
      fontColor: [0.93, 0.94, 0.95, 1],
      isNearestInterpolation: false,
      isColorbar: false,
      dragAndDropEnabled: false,
      show3Dcrosshair: true,
      loadingText: "",
      logLevel: "silent",
      // The page has keys of its own.
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      viewModeHotKey: "",
    });
    this.niivue.onLocationChange = (location) => {
      const { mm } = location as Location;
      moved([mm[0] ?? 0, mm[1] ?? 0, mm[2] ?? 0]);
    };
  }

  /** Show `file`, a NIfTI, on `canvas`. */
  async open(canvas: HTMLCanvasElement, file: ArrayBuffer, known: boolean): Promise<void> {
    await this.niivue.attachToCanvas(canvas);
    this.niivue.setIsOrientationTextVisible(known);
    this.grid = new Grid(file);
    this.niivue.volumes = [await NVImage.loadFromUrl({ url: "volume.nii", buffer: file })];
    this.niivue.setRenderAzimuthElevation(this.azimuth, this.elevation);
  }

  /** Masks in place of those before. */
  async mark(labels: Labels, paint: Paint): Promise<void> {
    const [volume] = this.niivue.volumes;
    if (!this.grid || !volume) return;
    this.labels = labels;
    const buffer = labels.structures.length ? this.grid.labels(labels) : null;
    const overlay = buffer && (await NVImage.loadFromUrl({ url: "labels.nii", buffer }));
    this.niivue.volumes = overlay ? [volume, overlay] : [volume];
    this.paint(paint);
    await this.refresh();
  }

  /** Send the voxels to the graphics anew, once however much was changed. */
  private refresh(): Promise<void> {
    this.due ??= new Promise((done) =>
      requestAnimationFrame(() => {
        this.due = null;
        const [volume, ...overlays] = this.niivue.volumes;
        if (volume) {
          this.niivue.back = volume;
          this.niivue.overlays = overlays;
          this.niivue.updateGLVolume();
        }
        done();
      }),
    );
    return this.due;
  }

  /** Colours and opacities of the masks. */
  paint(paint: Paint): void {
    const overlay = this.niivue.volumes[1];
    if (!overlay || !this.labels) return;
    const { structures } = this.labels;
    const all = [[0, 0, 0, 0] as const, ...structures.map(paint)];
    overlay.setColormapLabel({
      R: all.map((each) => each[0]),
      G: all.map((each) => each[1]),
      B: all.map((each) => each[2]),
      A: all.map((each) => Math.round(255 * FILL * each[3])),
      I: [0, ...structures.map((each) => each.label)],
      labels: ["", ...structures.map((each) => each.name ?? `[${each.number}]`)],
    });
    void this.refresh();
  }

  set window(window: Window) {
    const [volume] = this.niivue.volumes;
    if (!volume) return;
    volume.cal_min = window.center - window.width / 2;
    volume.cal_max = window.center + window.width / 2;
    void this.refresh();
  }

  set outline(outline: boolean) {
    this.niivue.opts.atlasOutline = outline ? 1 : 0;
    void this.refresh();
  }

  set layout(layout: Layout) {
    this.niivue.setSliceType(KINDS[layout]);
  }

  /** Cut the front half of the body away. */
  set cut(cut: boolean) {
    this.niivue.setClipPlane((cut ? FRONT_AWAY : WHOLE) as number[]);
  }

  /** Put the cross on slice `index`, which counts in the whole volume along `axis`. */
  point(labels: Labels, axis: number, index: number): void {
    if (!this.grid) return;
    const voxel = labels.shape.map((side) => (side - 1) / 2) as Triple;
    voxel[axis] = index / (labels.steps[axis] ?? 1);
    this.niivue.scene.crosshairPos = this.niivue.mm2frac(this.grid.position(voxel));
    this.niivue.createOnLocationChange();
    this.niivue.drawScene();
  }

  /** The slice of the whole volume along `axis` at a place. */
  sliceAt(labels: Labels, axis: number, place: Triple): number {
    return Math.round((this.grid?.voxel(place)[axis] ?? 0) * (labels.steps[axis] ?? 1));
  }

  /** Move the cross by voxels towards right, anterior, superior. */
  move(by: Triple): void {
    this.niivue.moveCrosshairInVox(...by);
  }

  /** Turn the body, in degrees. */
  turn(azimuth: number, elevation: number): void {
    this.azimuth = (this.azimuth + azimuth + 360) % 360;
    this.elevation = Math.max(-90, Math.min(90, this.elevation + elevation));
    this.niivue.setRenderAzimuthElevation(this.azimuth, this.elevation);
  }

  /** Free the memory of the graphics. */
  close(): void {
    this.niivue.onLocationChange = () => undefined;
    this.niivue.volumes = [];
    this.niivue.cleanup();
    this.niivue.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
