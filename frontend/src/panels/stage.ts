// What lies over the image: facts in the corners, the wheel of slices, the bar of a drawing.

import { applyDraft, discardDraft, redoStroke, undoStroke } from "../drafting";
import { byId, h, icon, iconButton } from "../dom";
import type { Point } from "../mask/mask";
import { now, shownEntities, update, watch } from "../store";
import type { Gestures } from "../view/gestures";
import type { Viewer } from "../view/viewer";

/** Nobody needs to be told that nothing is known. */
const known = (modality = "") => (modality === "UNKNOWN" ? "" : modality);

const round = (value: number) => (Math.abs(value) < 10 ? value.toPrecision(2) : value.toFixed(0));

/** `steps` slices on, as far as there are any. */
export function turn(steps: number): void {
  const { image, plane, slice, draft } = now();
  const count = image?.planes[plane]?.count ?? 1;
  const next = Math.max(0, Math.min(count - 1, slice + steps));
  // A drawing belongs to its slice.
  if (next !== slice && !draft) update({ slice: next });
}

/** The whole volume in place of a slice. */
export function showSpace(): void {
  const { image, draft } = now();
  if (image?.kind === "volume" && !draft) update({ space: true });
}

export function mountStage(viewer: Viewer): (at: Point | null) => void {
  const facts = h("p", { class: "facts" });
  const probe = h("p", { class: "probe" });
  byId("corners").append(facts, probe);
  const show = () => {
    const { image, plane, slice } = now();
    const count = image?.planes[plane]?.count ?? 1;
    const { center, width } = viewer.window;
    const where = image?.kind === "volume" ? `${plane} ${slice + 1} / ${count}` : "";
    const lines = [known(image?.modality), where, `L ${round(center)}  W ${round(width)}`];
    facts.textContent = lines.filter(Boolean).join("\n");
  };
  viewer.canvas.addEventListener("shown", show);
  watch((s) => [s.image, s.plane, s.slice, s.window], show);
  watch((s) => [s.session, s.asking], () => {
    const names = shownEntities().filter((each) => each.mask);
    const list = names.map((each) => `${each.id}, ${each.name ?? "unnamed"}`).join("; ");
    viewer.canvas.setAttribute("aria-label", list ? `The image with masks ${list}` : "The image");
  });
  mountTurner();
  return (at) => {
    const { picture } = viewer;
    const value = at && picture ? picture.read(Math.floor(at.x), Math.floor(at.y)) : "";
    const unit = now().image?.unit ?? "";
    probe.textContent =
      at && value ? `${Math.floor(at.x)}, ${Math.floor(at.y)}: ${value} ${unit}`.trim() : "";
  };
}

function mountTurner(): void {
  const place = byId("turner");
  const slider = h("input", {
    type: "range",
    min: "0",
    class: "slices",
    "aria-label": "Slice",
    on: { input: () => update({ slice: Number(slider.value) }) },
  });
  const planes = h("select", {
    "aria-label": "Plane",
    on: {
      change: () => {
        const count = now().image?.planes[planes.value]?.count ?? 1;
        update({ plane: planes.value, slice: Math.floor(count / 2) });
      },
    },
  });
  const space = iconButton("cube", "Show the volume in three dimensions", showSpace, { key: "T" });
  place.append(planes, space, slider);
  watch(
    (s) => [s.image, s.plane, s.slice, s.draft !== null],
    (image, plane, slice, drawing) => {
      place.hidden = image?.kind !== "volume";
      if (!image) return;
      const names = Object.keys(image.planes);
      if (planes.options.length !== names.length) {
        planes.replaceChildren(...names.map((name) => h("option", {}, name)));
      }
      planes.value = plane;
      slider.max = String((image.planes[plane]?.count ?? 1) - 1);
      slider.value = String(slice);
      slider.setAttribute("aria-valuetext", `${slice + 1} of ${image.planes[plane]?.count ?? 1}`);
      slider.disabled = planes.disabled = space.disabled = drawing;
    },
  );
}

export function mountDrafting(viewer: Viewer, gestures: Gestures): void {
  const place = byId("drafting");
  watch(
    (s) => [s.draft?.target, s.draft === null, s.tool, s.draft?.past.length, s.draft?.future.length],
    (target, none, tool, past, future) => {
      place.hidden = none;
      if (none) {
        viewer.trail = [];
        return;
      }
      const typed = place.querySelector<HTMLInputElement>(".draft-name")?.value ?? "";
      const name = h("input", { class: "draft-name", placeholder: "Name (optional)", maxlength: "80", "aria-label": "Name of the new mask", value: typed });
      const fresh = target === null || target === undefined;
      const apply = () => void applyDraft(fresh ? name.value.trim() || null : null);
      const undo = iconButton("undo", "Undo stroke", undoStroke, { disabled: !past });
      const redo = iconButton("redo", "Redo stroke", redoStroke, { disabled: !future });
      const size = h("input", {
        type: "range",
        min: "0.5",
        max: "40",
        step: "0.5",
        value: String(now().brush),
        "aria-label": "Size of the brush",
        on: { input: () => update({ brush: Number(size.value) }) },
      });
      place.replaceChildren(
        h("p", {}, fresh ? "New mask" : `Correcting [${target}]`),
        ...(fresh ? [name] : []),
        ...(tool === "brush" || tool === "eraser" ? [size] : []),
        ...(tool === "polygon"
          ? [h("button", { type: "button", class: "small", on: { click: () => gestures.closePolygon() } }, "Close polygon")]
          : []),
        undo,
        redo,
        h("button", { type: "button", class: "small", on: { click: discardDraft } }, icon("close"), "Discard"),
        h("button", { type: "button", class: "small primary apply", on: { click: apply } }, icon("check"), fresh ? "Add" : "Apply"),
      );
    },
  );
}

/** What the person typed for the new mask, if anything. */
export const draftName = (): string | null =>
  byId("drafting").querySelector<HTMLInputElement>(".draft-name")?.value.trim() || null;

/** Keep what was drawn, as the button does. */
export function applyFromKey(): void {
  byId("drafting").querySelector<HTMLButtonElement>(".apply")?.click();
}
