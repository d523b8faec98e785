// A mask in the pixels of the image, and the ways of a hand to change it.

export interface Point {
  x: number;
  y: number;
}

export interface Bounds {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export class Mask {
  readonly data: Uint8Array;
  private counted: number | null = null;

  constructor(
    readonly height: number,
    readonly width: number,
    data?: Uint8Array,
  ) {
    this.data = data ?? new Uint8Array(height * width);
  }

  copy(): Mask {
    return new Mask(this.height, this.width, this.data.slice());
  }

  get empty(): boolean {
    return !this.data.includes(1);
  }

  get area(): number {
    this.counted ??= this.data.reduce((sum, value) => sum + value, 0);
    return this.counted;
  }

  has(x: number, y: number): boolean {
    const inside = x >= 0 && y >= 0 && x < this.width && y < this.height;
    return inside && this.data[Math.floor(y) * this.width + Math.floor(x)] === 1;
  }

  /** Half open; null for an empty mask. */
  bounds(): Bounds | null {
    let [x0, y0, x1, y1] = [this.width, this.height, 0, 0];
    for (let y = 0; y < this.height; y++) {
      const row = this.data.subarray(y * this.width, (y + 1) * this.width);
      const first = row.indexOf(1);
      if (first < 0) continue;
      x0 = Math.min(x0, first);
      x1 = Math.max(x1, row.lastIndexOf(1) + 1);
      y0 = Math.min(y0, y);
      y1 = y + 1;
    }
    return y1 > 0 ? { x0, y0, x1, y1 } : null;
  }

  /** Set the pixels whose centres lie within `radius` of the way from `from` to `to`. */
  stroke(from: Point, to: Point, radius: number, value: 0 | 1, aspect: number): void {
    this.counted = null;
    // `aspect` is the height of a pixel in its widths: the brush is round for the eye.
    const tall = radius / aspect;
    const [y0, y1] = [Math.min(from.y, to.y) - tall, Math.max(from.y, to.y) + tall];
    const [x0, x1] = [Math.min(from.x, to.x) - radius, Math.max(from.x, to.x) + radius];
    const [dx, dy] = [to.x - from.x, (to.y - from.y) * aspect];
    const length = dx * dx + dy * dy;
    const last = { x: Math.min(this.width, Math.ceil(x1)), y: Math.min(this.height, Math.ceil(y1)) };
    for (let y = Math.max(0, Math.floor(y0)); y < last.y; y++) {
      for (let x = Math.max(0, Math.floor(x0)); x < last.x; x++) {
        const [px, py] = [x + 0.5 - from.x, (y + 0.5 - from.y) * aspect];
        const share = length ? Math.max(0, Math.min(1, (px * dx + py * dy) / length)) : 0;
        const away = (px - share * dx) ** 2 + (py - share * dy) ** 2;
        if (away <= radius * radius) this.data[y * this.width + x] = value;
      }
    }
    // However thin the brush, the pixel under its tip is meant.
    const [tx, ty] = [Math.floor(to.x), Math.floor(to.y)];
    if (tx >= 0 && ty >= 0 && tx < this.width && ty < this.height) {
      this.data[ty * this.width + tx] = value;
    }
  }

  /** Set the pixels whose centres lie inside a polygon (even-odd). */
  fillPolygon(points: readonly Point[], value: 0 | 1): void {
    this.counted = null;
    for (let y = 0; y < this.height; y++) {
      const crossings: number[] = [];
      points.forEach((a, index) => {
        const b = points[(index + 1) % points.length] as Point;
        if (a.y <= y + 0.5 !== b.y <= y + 0.5) {
          crossings.push(a.x + ((y + 0.5 - a.y) / (b.y - a.y)) * (b.x - a.x));
        }
      });
      crossings.sort((a, b) => a - b);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        const start = Math.max(0, Math.ceil((crossings[pair] as number) - 0.5));
        const end = Math.min(this.width, Math.ceil((crossings[pair + 1] as number) - 0.5));
        if (end > start) this.data.fill(value, y * this.width + start, y * this.width + end);
      }
    }
  }

  /** Set everything that hangs together with `seed` and whose gray lies within `tolerance` of it. */
  grow(seed: Point, gray: Uint8Array, tolerance: number): void {
    this.counted = null;
    const start = Math.floor(seed.y) * this.width + Math.floor(seed.x);
    const middle = gray[start];
    if (middle === undefined) return;
    const seen = new Uint8Array(this.data.length);
    const stack = [start];
    seen[start] = 1;
    while (stack.length) {
      const at = stack.pop() as number;
      this.data[at] = 1;
      const x = at % this.width;
      for (const next of [
        x > 0 ? at - 1 : -1,
        x + 1 < this.width ? at + 1 : -1,
        at - this.width,
        at + this.width,
      ]) {
        if (next < 0 || next >= seen.length || seen[next]) continue;
        if (Math.abs((gray[next] as number) - middle) > tolerance) continue;
        seen[next] = 1;
        stack.push(next);
      }
    }
  }
}
