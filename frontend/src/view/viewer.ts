// The canvas: what is drawn, and when.

import { maskOf } from "../drafting";
import type { Mask, Point } from "../mask/mask";
import type { Colour, Entity } from "../protocol";
import { atSession, lookOf, now, shownEntities, watch } from "../store";
import { report } from "../trouble";
import { drawLayers, type Layer, rgb } from "./layers";
import { drawMarks } from "./marks";
import type { Picture, Window } from "./picture";
import { prefetch, slice } from "./slices";
import { Viewport } from "./viewport";

const FALLBACK: Colour = [86, 180, 233];

export class Viewer {
  readonly viewport = new Viewport();
  picture: Picture | null = null;
  /** Corners of a polygon or box that is being drawn, in pixels of the image. */
  trail: Point[] = [];
  /** Where the brush hovers, in units of the canvas. */
  cursor: Point | null = null;
  private size = { width: 1, height: 1 };
  private wanted = "";
  private due = false;

  constructor(readonly canvas: HTMLCanvasElement) {
    new ResizeObserver(() => this.resize()).observe(canvas);
    watch(
      (s) => [s.image, s.plane, s.slice],
      () => void this.load(),
    );
    watch(
      (s) => [s.session, s.asking, s.draft, s.opacity, s.outline, s.captions, s.looks],
      () => this.invalidate(),
    );
    watch((s) => [s.window, s.selected, s.hovered, s.tool, s.brush], () =>
      this.invalidate(),
    );
  }

  /** The window in use: the person's, or that of the image. */
  get window(): Window {
    return now().window ?? this.picture?.values.window ?? { center: 0, width: 1 };
  }

  invalidate(): void {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  /** Ids of the entities under a place, the smallest mask first. */
  under(at: Point): number[] {
    if (!atSession()) return [];
    const hits = this.entities()
      .map((entity) => ({ entity, mask: maskOf(entity) }))
      .filter((each): each is { entity: Entity; mask: Mask } => !!each.mask?.has(at.x, at.y));
    return hits.sort((a, b) => a.mask.area - b.mask.area).map((each) => each.entity.id);
  }

  private entities(): Entity[] {
    return shownEntities().filter((each) => each.mask && !lookOf(each.id).hidden);
  }

  private resize(): void {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.size = { width, height };
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    this.viewport.setCanvas(width, height);
    // At once: a canvas that was resized is empty until it is drawn.
    this.draw();
  }

  private async load(): Promise<void> {
    const { image, plane, slice: index } = now();
    const info = image?.planes[plane];
    if (!image || !info) {
      this.picture = null;
      this.wanted = "";
      return this.invalidate();
    }
    const key = `${image.id}/${plane}/${index}`;
    this.wanted = key;
    try {
      const picture = await slice(image.id, plane, index);
      if (this.wanted !== key) return;
      this.picture = picture;
      this.viewport.setImage(picture.values.width, picture.values.height, info.spacing);
      this.draw();
      this.canvas.dataset["shown"] = key;
      this.canvas.dispatchEvent(new Event("shown"));
      prefetch(image.id, plane, index, info.count);
    } catch (error) {
      report(error);
    }
  }

  private draw(): void {
    const context = this.canvas.getContext("2d") as CanvasRenderingContext2D;
    const { width, height } = this.size;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, height);
    const { image, plane } = now();
    const info = image?.planes[plane];
    if (!this.picture || !info) return;
    const { viewport } = this;
    context.imageSmoothingEnabled = viewport.zoom < 8;
    context.imageSmoothingQuality = "high";
    const { values } = this.picture;
    context.drawImage(
      this.picture.through(this.window),
      viewport.left,
      viewport.top,
      values.width * viewport.zoom,
      values.height * viewport.zoom * viewport.aspect,
    );
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    drawLayers(context, viewport, this.layers(), rem);
    this.drawTrail(context);
    // The wheel of slices lies at the right edge.
    const inset = info.count > 1 ? 2.2 * rem : 0;
    drawMarks(context, viewport, this.size, info.directions, info.spacing, rem, inset);
  }

  private layers(): Layer[] {
    const { draft, opacity, outline, captions, selected, hovered } = now();
    const layers: Layer[] = [];
    for (const entity of atSession() ? this.entities() : []) {
      const mask = maskOf(entity);
      if (!mask || draft?.target === entity.id) continue;
      const look = lookOf(entity.id);
      const strong = entity.id === hovered || (entity.id === selected && !draft);
      layers.push({
        id: entity.id,
        name: entity.name ?? "",
        mask,
        colour: entity.colour,
        unsure: entity.status === "unsure",
        filled: !draft && !outline && !look.outline,
        opacity: opacity * look.opacity * (draft ? 0.5 : 1),
        strong,
        labelled: captions && !draft,
      });
    }
    if (draft) layers.push(this.draftLayer(draft.target, draft.mask));
    return layers;
  }

  private draftLayer(target: number | null, mask: Mask): Layer {
    const entities = now().session?.entities ?? [];
    const known = entities.find((each) => each.id === target);
    const palette = now().info?.palette ?? [];
    const colour = known?.colour ?? palette[entities.length % (palette.length || 1)] ?? FALLBACK;
    const id = target ?? entities.length + 1;
    const plain = { unsure: false, filled: true, opacity: 1, strong: true, labelled: false };
    return { id, name: "", mask, colour, ...plain };
  }

  private drawTrail(context: CanvasRenderingContext2D): void {
    const { tool, brush } = now();
    context.save();
    context.lineWidth = 1.5;
    context.strokeStyle = "#fff";
    context.shadowColor = "#000";
    context.shadowBlur = 3;
    if (this.trail.length) {
      const corners = this.trail.map((each) => this.viewport.toCanvas(each));
      context.setLineDash([5, 4]);
      context.beginPath();
      if (tool === "box" && corners.length > 1) {
        const [a, b] = [corners[0] as Point, corners.at(-1) as Point];
        context.rect(a.x, a.y, b.x - a.x, b.y - a.y);
      } else {
        corners.forEach((each) => context.lineTo(each.x, each.y));
        if (this.cursor && tool === "polygon") context.lineTo(this.cursor.x, this.cursor.y);
      }
      context.stroke();
      context.setLineDash([]);
      context.fillStyle = rgb(FALLBACK);
      for (const each of corners) {
        context.beginPath();
        context.arc(each.x, each.y, 3.5, 0, 2 * Math.PI);
        context.fill();
      }
    }
    if (this.cursor && (tool === "brush" || tool === "eraser")) {
      context.beginPath();
      context.arc(this.cursor.x, this.cursor.y, brush * this.viewport.zoom, 0, 2 * Math.PI);
      context.stroke();
    }
    context.restore();
  }
}
