// What stands at the edges of the view: the patient's sides, and a scale.

import type { Directions } from "../protocol";
import type { Viewport } from "./viewport";

export const FONT = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200];

function write(context: CanvasRenderingContext2D, text: string, x: number, y: number): void {
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

export function drawMarks(
  context: CanvasRenderingContext2D,
  viewport: Viewport,
  size: { width: number; height: number },
  directions: Directions | null,
  spacing: [number, number] | null,
  rem: number,
  inset: number,
): void {
  context.save();
  context.font = `600 ${rem}px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  context.fillStyle = "#eef0f3";
  if (directions) {
    write(context, directions.left, 14, size.height / 2);
    write(context, directions.right, size.width - 14 - inset, size.height / 2);
    write(context, directions.top, size.width / 2, 16);
    write(context, directions.bottom, size.width / 2, size.height - 16);
  }
  if (spacing) {
    const unit = viewport.zoom / spacing[1];
    const length = LENGTHS.findLast((each) => each * unit < size.width / 4) ?? 1;
    const [left, bottom] = [14, size.height - 40];
    context.beginPath();
    context.moveTo(left, bottom - 5);
    context.lineTo(left, bottom);
    context.lineTo(left + length * unit, bottom);
    context.lineTo(left + length * unit, bottom - 5);
    context.stroke();
    context.strokeStyle = "#eef0f3";
    context.lineWidth = 1.5;
    context.stroke();
    context.strokeStyle = "rgba(0, 0, 0, 0.85)";
    context.lineWidth = 3;
    context.font = `500 ${rem * 0.8}px ${FONT}`;
    context.textAlign = "left";
    write(context, `${length} mm`, left + 3, bottom - rem * 0.85);
  }
  context.restore();
}
