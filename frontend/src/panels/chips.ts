// [n] in text as a coloured chip, the same everywhere.

import { h } from "../dom";
import type { Colour } from "../protocol";
import { now, shownEntities } from "../store";

const MARKER = /\[(\d+)\]/g;

export function colourOf(id: number): Colour {
  const known = shownEntities().find((each) => each.id === id);
  const palette = now().info?.palette ?? [];
  return known?.colour ?? palette[(id - 1) % (palette.length || 1)] ?? [160, 160, 160];
}

export function chip(id: number): HTMLSpanElement {
  const entity = shownEntities().find((each) => each.id === id);
  const title = entity?.name ?? `structure ${id}`;
  const style = `--colour: rgb(${colourOf(id).join(" ")})`;
  return h("span", { class: "chip", style, title }, h("span", { class: "bracket" }, "["), String(id), h("span", { class: "bracket" }, "]"));
}

/** `text` with chips for its markers. */
export function marked(text: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const found of text.matchAll(MARKER)) {
    fragment.append(text.slice(end, found.index), chip(Number(found[1])));
    end = found.index + found[0].length;
  }
  fragment.append(text.slice(end));
  return fragment;
}
