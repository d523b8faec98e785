// Masks on the image, in the manner of the program's own pictures: a fill that lets the tissue
// through, an outline with a dark halo, stripes where the model is unsure, the number beside it.

import { blocks, exact, smooth } from "../mask/contour";
import type { Bounds, Mask } from "../mask/mask";
import type { Colour } from "../protocol";
import { FONT } from "./marks";
import type { Viewport } from "./viewport";

const INK = "16, 18, 22";
const [FILL, STRIPE] = [0.26, 0.5];
/** Units of the canvas for one pixel of the image from which its pixels themselves are shown. */
const PIXELS_FROM = 8;

export interface Layer {
  id: number;
  name: string;
  mask: Mask;
  colour: Colour;
  unsure: boolean;
  filled: boolean;
  /** 0..1 */
  opacity: number;
  strong: boolean;
  labelled: boolean;
}

/** Width of the view, in rem, from which all names are written. */
const ROOMY = 36;

interface Shapes {
  bounds: Bounds | null;
  area: number;
  smooth: Path2D;
  exact?: Path2D;
  blocks?: Path2D;
}

const shapes = new WeakMap<Mask, Shapes>();

function shapesOf(mask: Mask): Shapes {
  let found = shapes.get(mask);
  if (!found) {
    found = { bounds: mask.bounds(), area: mask.area, smooth: smooth(mask) };
    shapes.set(mask, found);
  }
  return found;
}

export function rgb(colour: Colour, alpha = 1): string {
  return `rgba(${colour.join(", ")}, ${alpha})`;
}

/** Draw `layers`, the large ones first; `context` is scaled to units of the canvas. */
export function drawLayers(
  context: CanvasRenderingContext2D,
  viewport: Viewport,
  layers: readonly Layer[],
  rem: number,
): void {
  const visible = layers.filter((layer) => shapesOf(layer.mask).bounds);
  visible.sort((a, b) => shapesOf(b.mask).area - shapesOf(a.mask).area);
  for (const layer of visible) drawLayer(context, viewport, layer, rem / 15);
  const taken: DOMRect[] = [];
  // The one that is pointed at chooses its place first.
  const labelled = visible.filter((layer) => layer.labelled && inSight(viewport, layer));
  labelled.sort((a, b) => Number(b.strong) - Number(a.strong));
  for (const layer of labelled) drawCaption(context, viewport, layer, taken, rem);
}

function drawLayer(
  context: CanvasRenderingContext2D,
  viewport: Viewport,
  layer: Layer,
  scale: number,
): void {
  const found = shapesOf(layer.mask);
  const near = viewport.zoom >= PIXELS_FROM;
  if (near) found.exact ??= exact(layer.mask);
  if (near) found.blocks ??= blocks(layer.mask);
  const outline = new Path2D();
  outline.addPath((near && found.exact) || found.smooth, viewport.matrix);
  const area = new Path2D();
  area.addPath((near && found.blocks) || found.smooth, viewport.matrix);
  context.save();
  context.lineJoin = "round";
  if (layer.filled) {
    context.globalAlpha = layer.opacity;
    const striped = layer.unsure ? stripes(context, layer.colour) : null;
    context.fillStyle = striped ?? rgb(layer.colour, FILL);
    context.fill(area, "evenodd");
  }
  context.globalAlpha = layer.filled ? Math.min(1, layer.opacity * 1.4) : layer.opacity;
  const width = (layer.strong ? 3.4 : 2) * scale;
  context.strokeStyle = `rgba(${INK}, 0.5)`;
  context.lineWidth = width + 2.4 * scale;
  context.stroke(outline);
  context.strokeStyle = rgb(layer.colour);
  context.lineWidth = width;
  // Colour alone never tells: what is unsure has a broken outline too.
  if (layer.unsure && !near) context.setLineDash([7 * scale, 4 * scale]);
  context.stroke(outline);
  context.restore();
}

function stripes(context: CanvasRenderingContext2D, colour: Colour): CanvasPattern | null {
  const tile = document.createElement("canvas");
  const side = 14;
  tile.width = tile.height = side;
  const pen = tile.getContext("2d") as CanvasRenderingContext2D;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      pen.fillStyle = rgb(colour, Math.floor((x + y) / 7) % 2 ? FILL * 0.3 : STRIPE);
      pen.fillRect(x, y, 1, 1);
    }
  }
  return context.createPattern(tile, "repeat");
}

function drawCaption(
  context: CanvasRenderingContext2D,
  viewport: Viewport,
  layer: Layer,
  taken: DOMRect[],
  rem: number,
): void {
  const bounds = shapesOf(layer.mask).bounds as Bounds;
  const height = Math.round(rem * 1.35);
  context.save();
  context.font = `700 ${rem * 0.88}px ${FONT}`;
  const chip = Math.max(height, context.measureText(String(layer.id)).width + 12);
  const doubt = layer.unsure ? "?" : "";
  const roomy = layer.strong || viewport.extent.width > ROOMY * rem;
  const long = roomy ? `${layer.name} ${doubt}`.trim() : doubt;
  const wide = (text: string) => chip + (text ? context.measureText(text).width + 12 : 0);
  let text = long;
  let place = freePlace(viewport, bounds, wide(long), height, taken);
  if (!place && !layer.strong) {
    text = doubt;
    place = freePlace(viewport, bounds, wide(doubt), height, taken);
  }
  place ??= places(viewport, bounds, wide(text), height).at(-1) as DOMRect;
  taken.push(place);
  context.beginPath();
  context.roundRect(place.x, place.y, place.width, height, 6);
  context.fillStyle = `rgba(${INK}, 0.82)`;
  context.fill();
  context.beginPath();
  context.roundRect(place.x, place.y, chip, height, 6);
  context.fillStyle = rgb(layer.colour);
  context.fill();
  context.textBaseline = "middle";
  context.textAlign = "center";
  context.fillStyle = `rgb(${INK})`;
  context.fillText(String(layer.id), place.x + chip / 2, place.y + height / 2 + 1);
  context.textAlign = "left";
  context.fillStyle = "#eef0f3";
  if (text) context.fillText(text, place.x + chip + 6, place.y + height / 2 + 1);
  context.restore();
}

function inSight(viewport: Viewport, layer: Layer): boolean {
  const { x0, y0, x1, y1 } = shapesOf(layer.mask).bounds as Bounds;
  const [a, b] = [viewport.toCanvas({ x: x0, y: y0 }), viewport.toCanvas({ x: x1, y: y1 })];
  const { width, height } = viewport.extent;
  return b.x > 0 && b.y > 0 && a.x < width && a.y < height;
}

/** Above, beside, below, and last on the mask itself, always on the canvas. */
function places(viewport: Viewport, bounds: Bounds, width: number, height: number): DOMRect[] {
  const a = viewport.toCanvas({ x: bounds.x0, y: bounds.y0 });
  const b = viewport.toCanvas({ x: bounds.x1, y: bounds.y1 });
  const [middle, centre] = [(a.x + b.x - width) / 2, (a.y + b.y - height) / 2];
  const gap = 5;
  const { extent } = viewport;
  const within = (at: number, most: number) => Math.max(2, Math.min(most - 2, at));
  return [
    [middle, a.y - height - gap],
    [b.x + gap, centre],
    [a.x - width - gap, centre],
    [middle, b.y + gap],
    [middle, centre],
  ].map(([x = 0, y = 0]) => {
    return new DOMRect(within(x, extent.width - width), within(y, extent.height - height), width, height);
  });
}

/** Where no other caption is. */
function freePlace(
  viewport: Viewport,
  bounds: Bounds,
  width: number,
  height: number,
  taken: readonly DOMRect[],
): DOMRect | null {
  const apart = (p: DOMRect, q: DOMRect) =>
    p.right + 2 < q.left || q.right + 2 < p.left || p.bottom + 2 < q.top || q.bottom + 2 < p.top;
  const all = places(viewport, bounds, width, height);
  return all.find((place) => taken.every((other) => apart(place, other))) ?? null;
}
