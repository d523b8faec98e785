// Tools beside the image: the hand's, and how things are shown.

import { discardDraft } from "../drafting";
import { byId, h, type IconName, iconButton } from "../dom";
import { now, type Tool, update, watch } from "../store";
import { PRESETS } from "../view/picture";
import type { Viewer } from "../view/viewer";
import { popover } from "./popover";

const TOOLS: readonly [Tool, IconName, string, string][] = [
  ["point", "point", "Point and move", "V"],
  ["window", "window", "Window: contrast and brightness", "W"],
  ["brush", "brush", "Brush", "B"],
  ["eraser", "eraser", "Eraser", "E"],
  ["polygon", "polygon", "Polygon", "P"],
  ["box", "box", "Box round a structure, or a rectangle (Alt removes)", "X"],
  ["wand", "wand", "Wand: click what is equally bright", "G"],
];

/** Take up `tool`; the pencils go on with the draft or begin one when they touch the image. */
export function takeTool(tool: Tool, viewer: Viewer): void {
  viewer.trail = [];
  if (tool === "point" && now().draft?.past.length === 0) discardDraft();
  update({ tool, space: false });
}

export function mountToolbar(viewer: Viewer): void {
  const place = byId("tools");
  const buttons = TOOLS.map(([tool, icon, label, key]) => {
    const button = iconButton(icon, label, () => takeTool(tool, viewer), { key, "data-tool": tool });
    return [tool, button] as const;
  });
  const zoom = (factor: number) => () => {
    viewer.viewport.zoomMiddle(factor);
    viewer.invalidate();
  };
  const fit = () => {
    viewer.viewport.fit();
    viewer.invalidate();
  };
  const show = iconButton("layers", "How masks and image are shown", () => undefined);
  place.append(
    ...buttons.slice(0, 2).map(([, button]) => button),
    h("span", { class: "rule" }),
    ...buttons.slice(2).map(([, button]) => button),
    h("span", { class: "rule" }),
    iconButton("plus", "Zoom in", zoom(1.25), { key: "+" }),
    iconButton("minus", "Zoom out", zoom(0.8), { key: "-" }),
    iconButton("fit", "Fit", fit, { key: "0" }),
    popover(show, "How masks and image are shown", () => [display(viewer)]),
  );
  watch((s) => [s.tool], (tool) => {
    for (const [each, button] of buttons) button.setAttribute("aria-pressed", String(each === tool));
    viewer.canvas.dataset["tool"] = tool;
    viewer.canvas.style.cursor = "";
  });
}

function check(label: string, key: "outline" | "captions", hint: string): HTMLElement {
  const box = h("input", {
    type: "checkbox",
    checked: now()[key],
    on: { change: () => update({ [key]: box.checked }) },
  });
  return h("label", { class: "check" }, box, h("span", {}, label), h("kbd", {}, hint));
}

function display(viewer: Viewer): HTMLElement {
  const opacity = h("input", {
    type: "range",
    min: "0",
    max: "100",
    value: String(now().opacity * 100),
    on: { input: () => update({ opacity: Number(opacity.value) / 100 }) },
  });
  const { window } = viewer;
  const number = (name: "center" | "width", label: string) => {
    const field: HTMLInputElement = h("input", {
      type: "number",
      step: "any",
      value: String(Math.round(window[name] * 100) / 100),
      on: {
        input: () => {
          const value = field.valueAsNumber;
          if (Number.isFinite(value) && (name === "center" || value > 0)) {
            update({ window: { ...viewer.window, [name]: value } });
          }
        },
      },
    });
    return [h("label", { class: "field-line" }, h("span", {}, label), field), field] as const;
  };
  const [centre, centreField] = number("center", "Level");
  const [width, widthField] = number("width", "Width");
  const use = (next: { center: number; width: number } | null) => () => {
    update({ window: next });
    centreField.value = String(viewer.window.center);
    widthField.value = String(viewer.window.width);
  };
  const calibrated = now().image?.unit === "HU";
  const presets = [
    { name: "Default", window: null },
    ...(calibrated ? PRESETS : []),
  ].map((each) => h("button", { type: "button", class: "small", on: { click: use(each.window) } }, each.name));
  return h(
    "div",
    { class: "display" },
    h("h2", {}, "Masks"),
    h("label", { class: "field-line" }, h("span", {}, "Opacity"), opacity),
    check("Outlines only", "outline", "O"),
    check("Captions", "captions", "L"),
    h("h2", {}, "Window"),
    h("div", { class: "presets" }, ...presets),
    centre,
    width,
  );
}
