// Where the image lies on the canvas: zoom and shift, pixels of any proportion.

import type { Point } from "../mask/mask";

const [SMALLEST, LARGEST] = [0.02, 80];

export class Viewport {
  /** Canvas units for one column. */
  zoom = 1;
  left = 0;
  top = 0;
  /** Height of a pixel of the image in its widths. */
  aspect = 1;
  /** Whether the image follows the size of the canvas. */
  fitted = true;

  private image = { width: 1, height: 1 };
  private canvas = { width: 1, height: 1 };

  setImage(width: number, height: number, spacing: [number, number] | null): void {
    const aspect = spacing ? spacing[0] / spacing[1] : 1;
    const same =
      width === this.image.width && height === this.image.height && aspect === this.aspect;
    this.image = { width, height };
    this.aspect = aspect;
    if (!same) this.fit();
  }

  setCanvas(width: number, height: number): void {
    const [dx, dy] = [(width - this.canvas.width) / 2, (height - this.canvas.height) / 2];
    this.canvas = { width, height };
    if (this.fitted) this.fit();
    else {
      this.left += dx;
      this.top += dy;
    }
  }

  fit(): void {
    const { width, height } = this.image;
    const tall = height * this.aspect;
    this.zoom = Math.min(this.canvas.width / width, this.canvas.height / tall);
    this.left = (this.canvas.width - width * this.zoom) / 2;
    this.top = (this.canvas.height - tall * this.zoom) / 2;
    this.fitted = true;
  }

  zoomAt(at: Point, factor: number): void {
    const zoom = Math.min(LARGEST, Math.max(SMALLEST, this.zoom * factor));
    const ratio = zoom / this.zoom;
    this.left = at.x - (at.x - this.left) * ratio;
    this.top = at.y - (at.y - this.top) * ratio;
    this.zoom = zoom;
    this.fitted = false;
  }

  zoomMiddle(factor: number): void {
    this.zoomAt({ x: this.canvas.width / 2, y: this.canvas.height / 2 }, factor);
  }

  panBy(dx: number, dy: number): void {
    // A corner of the image always stays in sight.
    const keep = 40;
    const right = this.canvas.width - keep;
    const bottom = this.canvas.height - keep;
    const tall = this.image.height * this.zoom * this.aspect;
    const wide = this.image.width * this.zoom;
    this.left = Math.min(right, Math.max(keep - wide, this.left + dx));
    this.top = Math.min(bottom, Math.max(keep - tall, this.top + dy));
    this.fitted = false;
  }

  /** Width and height of the canvas. */
  get extent(): { width: number; height: number } {
    return this.canvas;
  }

  toImage(at: Point): Point {
    return {
      x: (at.x - this.left) / this.zoom,
      y: (at.y - this.top) / (this.zoom * this.aspect),
    };
  }

  toCanvas(at: Point): Point {
    return {
      x: this.left + at.x * this.zoom,
      y: this.top + at.y * this.zoom * this.aspect,
    };
  }

  /** From pixels of the image to units of the canvas. */
  get matrix(): DOMMatrix {
    return new DOMMatrix([this.zoom, 0, 0, this.zoom * this.aspect, this.left, this.top]);
  }
}
