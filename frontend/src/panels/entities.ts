// The numbered structures: what they are, how sure the model is, how they are shown.

import { change } from "../actions";
import { api } from "../api";
import { byId, h, icon, iconButton } from "../dom";
import { startDraft } from "../drafting";
import type { Entity } from "../protocol";
import { lookOf, now, setLook, shownEntities, update, watch } from "../store";
import { colourOf } from "./chips";
import { refer } from "./composer";

const STATUS: Record<string, string> = {
  unsure: "The model is not sure of this mask",
  absent: "The model says that it is not in the image",
  corrected: "Corrected by hand",
  given: "Drawn by hand",
};

let renaming: number | null = null;
let last: readonly unknown[] = [];

export function mountEntities(): void {
  const place = byId("entities");
  const list = h("ul", { class: "entities" });
  const head = h("div", { class: "panel-head" });
  place.append(head, list);
  watch(
    (s) => [s.session, s.asking, s.selected, s.looks, s.draft !== null, s.image],
    (...shown) => {
      const entities = shownEntities();
      // A slider in the hand is not made anew under it; what else it changes is on the canvas.
      const held = (document.activeElement as HTMLInputElement | null)?.type === "range";
      const same = shown.every((value, index) => index === 3 || value === last[index]);
      last = shown;
      if (held && same && list.contains(document.activeElement)) return;
      place.classList.toggle("empty", !entities.length);
      const focus = (document.activeElement as HTMLElement | null)?.dataset["key"];
      head.replaceChildren(...header(entities));
      list.replaceChildren(...entities.map(row));
      // Rows are made anew; whoever was on one stays there.
      if (focus) place.querySelector<HTMLElement>(`[data-key="${focus}"]`)?.focus();
      const field = list.querySelector<HTMLInputElement>("input.rename");
      if (field && document.activeElement !== field) {
        field.focus();
        field.select();
      }
    },
  );
}

function header(entities: readonly Entity[]): HTMLElement[] {
  const masks = entities.filter((each) => each.mask);
  const allHidden = masks.length > 0 && masks.every((each) => lookOf(each.id).hidden);
  const toggle = () => {
    const looks = new Map(now().looks);
    for (const each of masks) looks.set(each.id, { ...lookOf(each.id), hidden: !allHidden });
    update({ looks });
  };
  const label = allHidden ? "Show all masks" : "Hide all masks";
  return [
    h("h2", {}, "Structures"),
    h("span", { class: "count" }, entities.length ? String(entities.length) : ""),
    iconButton(allHidden ? "hidden" : "eye", label, toggle, {
      key: "H",
      "data-key": "all",
      disabled: !masks.length,
    }),
    iconButton("plus", "Draw a new mask", () => drawNew(), { key: "N", "data-key": "new" }),
  ];
}

export function drawNew(): void {
  if (!now().image || now().asking) return;
  startDraft(null);
  update({ tool: "brush", selected: null });
}

function row(entity: Entity): HTMLLIElement {
  const selected = now().selected === entity.id;
  const look = lookOf(entity.id);
  const colour = `--colour: rgb(${colourOf(entity.id).join(" ")})`;
  const select = () => update({ selected: selected ? null : entity.id });
  const name = entity.name ?? "unnamed";
  const line = h(
    "div",
    { class: "line" },
    h(
      "button",
      {
        type: "button",
        class: "number",
        title: `Refer to [${entity.id}] in the question`,
        "aria-label": `Refer to ${entity.id}, ${name}`,
        "data-key": `refer-${entity.id}`,
        on: { click: () => refer(entity.id) },
      },
      String(entity.id),
    ),
    renaming === entity.id ? renamer(entity) : nameButton(entity, name, selected, select),
    badge(entity),
    meter(entity),
    entity.mask
      ? iconButton(
          look.hidden ? "hidden" : "eye",
          `${look.hidden ? "Show" : "Hide"} ${entity.id}`,
          () => setLook(entity.id, { hidden: !look.hidden }),
          { "data-key": `eye-${entity.id}`, "aria-pressed": String(!look.hidden) },
        )
      : null,
  );
  return h(
    "li",
    {
      class: `entity ${selected ? "selected" : ""} ${look.hidden ? "off" : ""}`,
      style: colour,
      "data-entity": entity.id,
      on: {
        mouseenter: () => update({ hovered: entity.id }),
        mouseleave: () => update({ hovered: null }),
      },
    },
    line,
    selected ? details(entity) : null,
  );
}

function nameButton(entity: Entity, name: string, open: boolean, act: () => void): HTMLElement {
  return h(
    "button",
    {
      type: "button",
      class: "name",
      "aria-expanded": String(open),
      "data-key": `name-${entity.id}`,
      on: { click: act },
    },
    name,
  );
}

function badge(entity: Entity): HTMLElement | null {
  if (entity.status === "ok") return null;
  const title = entity.box_prompt ? "Found by the model in a box drawn by hand" : STATUS[entity.status];
  return h("span", { class: `status ${entity.status}`, title: title ?? "" }, entity.status);
}

function meter(entity: Entity): HTMLElement | null {
  if (entity.score === null || !entity.mask) return null;
  const text = entity.score.toFixed(2);
  return h(
    "span",
    { class: "meter", title: `The model's own estimate of the fit (IoU, 0 to 1): ${text}` },
    h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: `width: ${entity.score * 100}%` })),
    h("span", { class: "score" }, h("span", { class: "visually-hidden" }, "score "), text),
  );
}

function details(entity: Entity): HTMLElement {
  const look = lookOf(entity.id);
  const { session, asking } = now();
  const saved = !!session?.entities.some((each) => each.id === entity.id) && !asking;
  const text = (icon_: Parameters<typeof icon>[0], label: string, key: string, act: () => void) =>
    h(
      "button",
      { type: "button", class: "small", "data-key": `${key}-${entity.id}`, disabled: !saved, on: { click: act } },
      icon(icon_),
      label,
    );
  const slider = h("input", {
    type: "range",
    min: "0",
    max: "100",
    value: String(Math.round(look.opacity * 100)),
    "aria-label": `Opacity of ${entity.id}`,
    "data-key": `opacity-${entity.id}`,
    on: {
      input: (event) => {
        const value = Number((event.target as HTMLInputElement).value) / 100;
        setLook(entity.id, { opacity: value });
      },
    },
  });
  const style = h("button", {
    type: "button",
    class: "small",
    "aria-pressed": String(look.outline),
    "data-key": `outline-${entity.id}`,
    on: { click: () => setLook(entity.id, { outline: !look.outline }) },
  }, icon("polygon"), look.outline ? "Fill" : "Outline");
  const parents = entity.refers_to.length ? `from ${entity.refers_to.map((n) => `[${n}]`).join(" ")}` : "";
  const given = entity.box_prompt ? "found in a box" : "given";
  const origin = entity.round === null ? given : `round ${entity.round}`;
  return h(
    "div",
    { class: "details" },
    entity.mask ? h("label", { class: "opacity" }, h("span", {}, "Opacity"), slider) : null,
    h(
      "div",
      { class: "actions" },
      entity.mask ? style : null,
      entity.mask
        ? text("brush", "Correct", "correct", () => {
            startDraft(entity.id);
            update({ tool: "brush" });
          })
        : null,
      text("pencil", "Rename", "rename", () => {
        renaming = entity.id;
        update({ looks: new Map(now().looks) });
      }),
      text("trash", "Delete", "delete", () => void change((id) => api.drop(id, entity.id))),
    ),
    h("p", { class: "origin" }, [origin, parents].filter(Boolean).join(", ")),
  );
}

function renamer(entity: Entity): HTMLInputElement {
  let done = false;
  const finish = (keep: boolean) => {
    if (done) return;
    done = true;
    renaming = null;
    const name = field.value.trim() || null;
    update({ looks: new Map(now().looks) });
    if (keep && name !== entity.name) void change((id) => api.rename(id, entity.id, name));
  };
  const field = h("input", {
    class: "rename",
    value: entity.name ?? "",
    maxlength: "80",
    "aria-label": `Name of ${entity.id}`,
    on: {
      keydown: (event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      },
      blur: () => finish(true),
    },
  });
  return field;
}

