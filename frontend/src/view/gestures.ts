// What mouse, pen, fingers and wheel do on the canvas.

import { boxFit, findStructure } from "../boxes";
import { currentDraft, redraw } from "../drafting";
import type { Mask, Point } from "../mask/mask";
import { draftName } from "../panels/stage";
import { DRAWING, now, note, update } from "../store";
import type { Viewer } from "./viewer";

const CLICK = 4;

/** What one press does until it is let go; places are in units of the canvas. */
interface Press {
  move(to: Point, event: PointerEvent): void;
  end?(to: Point, event: PointerEvent): void;
}

export class Gestures {
  private press: Press | null = null;
  private turned = 0;
  private readonly fingers = new Map<number, Point>();

  constructor(
    private readonly viewer: Viewer,
    private readonly pick: (id: number | null) => void,
    private readonly turn: (steps: number) => void,
    private readonly probe: (at: Point | null) => void,
  ) {
    const { canvas } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(kind, (event) => this.up(event));
    }
    canvas.addEventListener("pointerleave", () => {
      viewer.cursor = null;
      this.probe(null);
      viewer.invalidate();
    });
    canvas.addEventListener("dblclick", () => this.closePolygon());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  private place(event: MouseEvent): Point {
    const { left, top } = this.viewer.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  private down(event: PointerEvent): void {
    if (!this.viewer.picture) return;
    const at = this.place(event);
    this.viewer.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, at);
    if (this.fingers.size > 1) this.press = this.pinch();
    else if (event.button === 1) this.press = this.pan(at);
    else if (event.button === 2) this.press = this.level(at);
    else this.press = this.start(at, event);
  }

  private start(at: Point, event: PointerEvent): Press | null {
    const { tool, asking, finding } = now();
    if (finding && DRAWING.includes(tool)) {
      note("Wait until the model has found what the last box encloses.");
      return null;
    }
    if (asking && DRAWING.includes(tool)) {
      note("Wait for the answer, or cancel it, before you draw.");
      return null;
    }
    if (tool === "window") return this.level(at);
    if (tool === "brush" || tool === "eraser") return this.paint(at, tool === "brush" ? 1 : 0);
    if (tool === "polygon") return this.corner(at);
    if (tool === "box") return this.box(at, event);
    if (tool === "wand") return this.wand(at);
    return this.point(at);
  }

  private move(event: PointerEvent): void {
    const at = this.place(event);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, at);
    this.viewer.cursor = at;
    this.probe(this.viewer.viewport.toImage(at));
    if (this.press) this.press.move(at, event);
    else if (now().tool === "point" && event.pointerType === "mouse") this.hover(at);
    this.viewer.invalidate();
  }

  private up(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    this.press?.end?.(this.place(event), event);
    this.press = null;
    this.viewer.invalidate();
  }

  private hover(at: Point): void {
    const [id] = this.viewer.under(this.viewer.viewport.toImage(at));
    this.viewer.canvas.style.cursor = id === undefined ? "" : "pointer";
    if ((id ?? null) !== now().hovered) update({ hovered: id ?? null });
  }

  private point(start: Point): Press {
    let moved = false;
    let last = start;
    return {
      move: (to) => {
        moved ||= Math.hypot(to.x - start.x, to.y - start.y) > CLICK;
        if (moved) this.viewer.viewport.panBy(to.x - last.x, to.y - last.y);
        last = to;
      },
      end: (to) => {
        if (moved) return;
        const under = this.viewer.under(this.viewer.viewport.toImage(to));
        this.pick(under[0] ?? null);
      },
    };
  }

  private pan(start: Point): Press {
    let last = start;
    return {
      move: (to) => {
        this.viewer.viewport.panBy(to.x - last.x, to.y - last.y);
        last = to;
      },
    };
  }

  private pinch(): Press {
    const spread = () => {
      const [a, b] = [...this.fingers.values()];
      if (!a || !b) return null;
      return {
        middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
        width: Math.hypot(a.x - b.x, a.y - b.y),
      };
    };
    let last = spread();
    return {
      move: () => {
        const next = spread();
        if (!last || !next) return;
        const { viewport } = this.viewer;
        viewport.panBy(next.middle.x - last.middle.x, next.middle.y - last.middle.y);
        viewport.zoomAt(next.middle, next.width / Math.max(last.width, 1));
        last = next;
      },
    };
  }

  /** Sideways contrast, up and down brightness, as at a workstation. */
  private level(start: Point): Press {
    const from = this.viewer.window;
    const step = Math.max(from.width, 1e-3) / 300;
    return {
      move: (to) =>
        update({
          window: {
            center: from.center + (to.y - start.y) * step,
            width: Math.max(from.width / 100, from.width + (to.x - start.x) * step),
          },
        }),
    };
  }

  private paint(start: Point, value: 0 | 1): Press | null {
    const draft = currentDraft();
    const before = draft.mask;
    const { viewport } = this.viewer;
    let last = viewport.toImage(start);
    let mask: Mask = before;
    const stamp = (to: Point) => {
      mask = mask.copy();
      mask.stroke(last, to, now().brush, value, viewport.aspect);
      last = to;
      redraw(mask, null);
    };
    stamp(last);
    return {
      move: (_, event) => {
        // A fast hand outruns the frames: all places in between count.
        const all = event.getCoalescedEvents?.() ?? [];
        const way = all.length ? all : [event];
        for (const each of way) stamp(viewport.toImage(this.place(each)));
      },
      end: () => redraw(mask, before),
    };
  }

  private corner(at: Point): Press {
    const { viewport } = this.viewer;
    const first = this.viewer.trail[0];
    const near = first && viewport.toCanvas(first);
    if (near && this.viewer.trail.length > 2 && Math.hypot(near.x - at.x, near.y - at.y) < 9) {
      this.closePolygon();
      return { move: () => undefined };
    }
    currentDraft();
    this.viewer.trail.push(viewport.toImage(at));
    return { move: () => undefined };
  }

  /** Fill the polygon that is being drawn. */
  closePolygon(): void {
    const { trail } = this.viewer;
    if (now().tool !== "polygon" || trail.length < 3) return;
    const draft = currentDraft();
    const mask = draft.mask.copy();
    mask.fillPolygon(trail, 1);
    this.viewer.trail = [];
    redraw(mask, draft.mask);
  }

  private box(start: Point, event: PointerEvent): Press {
    const { viewer } = this;
    const a = viewer.viewport.toImage(start);
    const value = event.altKey ? 0 : 1;
    viewer.trail = [a, a];
    if (value && boxFit() === "structure") return this.prompt(start, a);
    return {
      move: (to) => {
        viewer.trail = [a, viewer.viewport.toImage(to)];
      },
      end: (to) => {
        const b = viewer.viewport.toImage(to);
        viewer.trail = [];
        const draft = currentDraft();
        const mask = draft.mask.copy();
        const corners = [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }];
        mask.fillPolygon(corners, value);
        redraw(mask, draft.mask);
      },
    };
  }

  /** A box round a structure, which the model finds; it stays in sight as long as that takes. */
  private prompt(start: Point, a: Point): Press {
    const { viewer } = this;
    return {
      move: (to) => {
        viewer.trail = [a, viewer.viewport.toImage(to)];
      },
      end: (to) => {
        const b = viewer.viewport.toImage(to);
        const done = () => {
          viewer.trail = [];
          viewer.invalidate();
        };
        if (Math.min(Math.abs(to.x - start.x), Math.abs(to.y - start.y)) <= CLICK) {
          note("Drag a box round the structure.");
          done();
        } else void findStructure(a, b, draftName()).then(done);
      },
    };
  }

  /** A click takes what is as bright and hangs together; dragging sideways takes more or less. */
  private wand(start: Point): Press {
    const { viewer } = this;
    const draft = currentDraft();
    const before = draft.mask;
    const seed = viewer.viewport.toImage(start);
    const gray = viewer.picture?.gray(viewer.window);
    let mask = before;
    const take = (tolerance: number) => {
      const { width, height } = before;
      if (!gray || seed.x < 0 || seed.y < 0 || seed.x >= width || seed.y >= height) return;
      mask = before.copy();
      mask.grow(seed, gray, tolerance);
      redraw(mask, null);
    };
    take(18);
    return {
      move: (to) => take(Math.max(1, 18 + (to.x - start.x) / 4)),
      end: () => redraw(mask, before),
    };
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { image } = now();
    if (image?.kind === "volume" && !event.ctrlKey && !event.metaKey) {
      // A wheel clicks, a pad flows: forty units are one slice to both.
      const large = event.deltaMode !== 0 || Math.abs(event.deltaY) >= 40;
      this.turned = large ? Math.sign(event.deltaY) : this.turned + event.deltaY / 40;
      const steps = Math.trunc(this.turned);
      this.turned -= steps;
      if (steps) this.turn(steps);
    } else {
      this.viewer.viewport.zoomAt(this.place(event), Math.exp(-event.deltaY * 0.0015));
    }
    this.viewer.invalidate();
  }
}
