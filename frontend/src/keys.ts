// The keyboard. Letters count only where nobody is typing.

import { cancelAsk, redo, undo } from "./actions";
import { switchFit } from "./boxes";
import { discardDraft, redoStroke, undoStroke } from "./drafting";
import { drawNew } from "./panels/entities";
import { focusQuestion, refer } from "./panels/composer";
import { showHelp } from "./panels/help";
import { applyFromKey, showSpace, turn } from "./panels/stage";
import { takeTool } from "./panels/toolbar";
import { lookOf, now, shownEntities, type Tool, update } from "./store";
import type { Gestures } from "./view/gestures";
import type { Viewer } from "./view/viewer";

const TOOLS: Record<string, Tool> = {
  v: "point",
  w: "window",
  b: "brush",
  e: "eraser",
  p: "polygon",
  x: "box",
  g: "wand",
};

export function mountKeys(viewer: Viewer, gestures: Gestures): void {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) return chord(event);
    const target = event.target as HTMLElement;
    const typing = target.matches("input:not([type=range], [type=checkbox]), textarea, select");
    if (event.key === "Escape") return escape(viewer);
    if (typing || event.altKey || !now().image) return;
    if (now().space) {
      if (event.key.toLowerCase() === "t") update({ space: false });
      return;
    }
    if (event.key === "Enter" && now().draft && !target.matches("button, a")) {
      event.preventDefault();
      return viewer.trail.length > 2 ? gestures.closePolygon() : applyFromKey();
    }
    if (target.matches("input") && event.key.startsWith("Arrow")) return;
    if (plain(event.key, viewer)) event.preventDefault();
  });
}

function chord(event: KeyboardEvent): void {
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  const field = event.target as HTMLInputElement;
  // In a text of one's own, the browser's undo is meant.
  if (field.matches("input:not([type=range], [type=checkbox]), textarea") && field.value) return;
  event.preventDefault();
  const forth = key === "y" || event.shiftKey;
  if (now().draft) {
    if (forth) redoStroke();
    else undoStroke();
  } else void (forth ? redo() : undo());
}

function escape(viewer: Viewer): void {
  if (now().space && !now().asking) update({ space: false });
  else if (viewer.trail.length) {
    viewer.trail = [];
    viewer.invalidate();
  } else if (now().draft) discardDraft();
  else if (now().asking) void cancelAsk();
  else update({ tool: "point", selected: null });
}

/** Whether `key` meant something. */
function plain(key: string, viewer: Viewer): boolean {
  const tool = TOOLS[key.toLowerCase()];
  if (tool === "box" && now().tool === "box") switchFit();
  else if (tool) takeTool(tool, viewer);
  else if (key === "q" || key === "/") focusQuestion();
  else if (key === "n") drawNew();
  else if (key.toLowerCase() === "t") showSpace();
  else if (key === "o") update({ outline: !now().outline });
  else if (key === "l") update({ captions: !now().captions });
  else if (key === "h") toggleAll();
  else if (key === "?") showHelp();
  else if (key === "[") update({ brush: Math.max(0.5, now().brush / 1.25) });
  else if (key === "]") update({ brush: Math.min(40, now().brush * 1.25) });
  else if (key === "ArrowUp" || key === "PageUp") turn(key === "PageUp" ? -10 : -1);
  else if (key === "ArrowDown" || key === "PageDown") turn(key === "PageDown" ? 10 : 1);
  else if (/^[1-9]$/.test(key) && shownEntities().some((each) => each.id === Number(key))) {
    refer(Number(key));
  } else return zoom(key, viewer);
  return true;
}

function zoom(key: string, viewer: Viewer): boolean {
  if (key === "+" || key === "=") viewer.viewport.zoomMiddle(1.25);
  else if (key === "-") viewer.viewport.zoomMiddle(0.8);
  else if (key === "0") viewer.viewport.fit();
  else return false;
  viewer.invalidate();
  return true;
}

function toggleAll(): void {
  const masks = shownEntities().filter((each) => each.mask);
  const hidden = !masks.every((each) => lookOf(each.id).hidden);
  const looks = new Map(now().looks);
  for (const each of masks) looks.set(each.id, { ...lookOf(each.id), hidden });
  update({ looks });
}
