// The keys, in a dialogue of their own.

import { api } from "../api";
import { h, iconButton } from "../dom";
import type { Info } from "../protocol";
import { now, update } from "../store";
import { attempt } from "../trouble";

const KEYS: readonly [string, string][] = [
  ["Q or /", "write a question"],
  ["Enter / Esc", "send / cancel"],
  ["Ctrl Z, Ctrl Shift Z", "undo, redo: a round, a correction, or a stroke while drawing"],
  ["V, W", "point and move, window"],
  ["B, E, P, X, G", "brush, eraser, polygon, box, wand"],
  ["X again", "a box is the structure that it encloses, or its rectangle"],
  ["[ and ]", "smaller, larger brush"],
  ["N", "draw a new mask"],
  ["Enter / Esc", "keep / discard what was drawn"],
  ["H, O, L", "hide all masks, outlines only, captions"],
  ["+ − 0", "zoom in, out, fit"],
  ["↑ ↓, wheel", "through the slices; Ctrl wheel zooms"],
  ["T", "the whole volume in three dimensions; arrows and page keys move the cross, or turn it"],
  ["right, middle button", "drag: window, move"],
  ["1 … 9", "refer to a mask in the question"],
];

function described(info: Info | null): string {
  const model = info?.model;
  const which = model ? `, model ${model.name}, weights ${model.weights_sha256.slice(0, 12)}…` : "";
  return `MediRound ${info?.version ?? ""}${which}. ${info?.notice ?? ""}`;
}

export function showHelp(): void {
  const about = h("p", { class: "hint" }, described(now().info));
  if (!now().info?.model) {
    // It was still being loaded when the page asked.
    void attempt(async () => {
      update({ info: await api.info() });
      about.textContent = described(now().info);
    });
  }
  const dialog = h("dialog", { class: "help", "aria-labelledby": "help-title" });
  const close = iconButton("close", "Close", () => dialog.close());
  const rows = KEYS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, what)));
  dialog.append(
    h("div", { class: "panel-head" }, h("h2", { id: "help-title" }, "Keys"), close),
    h("table", {}, h("tbody", {}, ...rows)),
    h("p", {}, "The score is the model's own estimate of how well a mask fits (intersection over union, 0 to 1). Stripes and a broken outline mark what it is unsure of."),
    about,
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
