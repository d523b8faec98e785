// What a box stands for: a choice that is seen as long as the tool is in the hand.

import { boxFit, learnFits, onlyRectangle } from "../boxes";
import { byId, h } from "../dom";
import type { BoxFit } from "../protocol";
import { update, watch } from "../store";

const CHOICES: readonly [BoxFit, string][] = [
  ["structure", "Structure in it"],
  ["rectangle", "Rectangle"],
];

export function mountBoxBar(): void {
  const place = byId("boxing");
  const fields = CHOICES.map(([fit, label]) => {
    const field = h("input", {
      type: "radio",
      name: "box-fit",
      value: fit,
      on: { change: () => update({ boxFit: fit }) },
    });
    return [fit, field, h("label", {}, field, h("span", {}, label))] as const;
  });
  const why = h("p", { class: "why", id: "box-why" });
  const working = h(
    "p",
    { class: "working", role: "status" },
    h("progress", { "aria-label": "Finding the structure" }),
    "Finding the structure …",
  );
  place.append(
    h(
      "fieldset",
      { "aria-describedby": "box-why" },
      h("legend", {}, "A box is"),
      ...fields.map(([, , label]) => label),
      h("kbd", { title: "X again: the other one" }, "X"),
    ),
    why,
    working,
  );
  watch(
    (s) => [s.tool === "box" && !s.space && s.image !== null, boxFit(s), onlyRectangle(s), s.finding],
    (shown, fit, reason, finding) => {
      if (shown && place.hidden) void learnFits();
      place.hidden = !shown;
      working.hidden = !finding;
      why.textContent = reason;
      for (const [each, field] of fields) {
        field.checked = each === fit;
        field.disabled = finding || (each === "structure" && reason !== "");
      }
    },
  );
}
