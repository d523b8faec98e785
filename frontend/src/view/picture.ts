// Source values through a window, as a canvas of the image's own pixels.

import type { Values } from "../protocol";

export interface Window {
  center: number;
  width: number;
}

export const PRESETS: readonly { name: string; window: Window }[] = [
  { name: "Soft tissue", window: { center: 40, width: 400 } },
  { name: "Lung", window: { center: -600, width: 1500 } },
  { name: "Bone", window: { center: 400, width: 1800 } },
  { name: "Brain", window: { center: 40, width: 80 } },
  { name: "Liver", window: { center: 60, width: 160 } },
];

/** 0..255 for one value. */
export function shade(value: number, window: Window): number {
  const low = window.center - window.width / 2;
  return Math.max(0, Math.min(255, ((value - low) / Math.max(window.width, 1e-6)) * 255));
}

export class Picture {
  readonly canvas = document.createElement("canvas");
  private shown = "";

  constructor(readonly values: Values) {
    this.canvas.width = values.width;
    this.canvas.height = values.height;
  }

  /** The canvas, showing `window`. */
  through(window: Window): HTMLCanvasElement {
    const key = `${window.center} ${window.width}`;
    if (key === this.shown) return this.canvas;
    const { data, width, height, channels } = this.values;
    const pixels = new ImageData(width, height);
    const out = new Uint32Array(pixels.data.buffer);
    for (let at = 0; at < out.length; at++) {
      const first = at * channels;
      const red = shade(data[first] as number, window);
      const green = channels === 3 ? shade(data[first + 1] as number, window) : red;
      const blue = channels === 3 ? shade(data[first + 2] as number, window) : red;
      out[at] = 0xff000000 | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red);
    }
    (this.canvas.getContext("2d") as CanvasRenderingContext2D).putImageData(pixels, 0, 0);
    this.shown = key;
    return this.canvas;
  }

  /** What the eye sees as one gray per pixel, for growing a region. */
  gray(window: Window): Uint8Array {
    const { data, channels } = this.values;
    const gray = new Uint8Array(this.values.width * this.values.height);
    for (let at = 0; at < gray.length; at++) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += shade(data[at * channels + c] as number, window);
      gray[at] = Math.round(sum / channels);
    }
    return gray;
  }

  /** The value at a pixel, as text; "" outside. */
  read(x: number, y: number): string {
    const { data, width, height, channels } = this.values;
    if (x < 0 || y < 0 || x >= width || y >= height) return "";
    const first = (Math.floor(y) * width + Math.floor(x)) * channels;
    const text = (value: number) => (Number.isInteger(value) ? String(value) : value.toPrecision(4));
    return Array.from({ length: channels }, (_, c) => text(data[first + c] as number)).join(", ");
  }
}
