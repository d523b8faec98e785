// Where the question is written; [n] looks like the mask that it means.

import { ask, cancelAsk, ensureSession, openSession } from "../actions";
import { byId, h, icon } from "../dom";
import { atSession, now, shownEntities, update, watch } from "../store";
import { attempt } from "../trouble";
import { chip, marked } from "./chips";

const field = h("textarea", {
  id: "question",
  rows: "1",
  placeholder: "Ask about the image …",
  "aria-label": "Question",
  "aria-describedby": "hint",
  enterkeyhint: "send",
  spellcheck: "false",
});
const mirror = h("div", { class: "mirror", "aria-hidden": "true" });

function reflect(): void {
  // A line break at the end has no height of its own without something after it.
  mirror.replaceChildren(marked(field.value), "\u200b");
  mirror.scrollTop = field.scrollTop;
}

/** Put `text` into an empty field; with `unless`, clear the field if it still says that. */
export function compose(text: string, unless?: string): void {
  if (unless !== undefined ? field.value === unless : !field.value) {
    field.value = text;
    reflect();
  }
}

/** Insert [id] where the caret is. */
export function refer(id: number): void {
  const { selectionStart: start, selectionEnd: end, value } = field;
  const before = value.slice(0, start);
  const after = value.slice(end);
  const left = before && !/\s$/.test(before) ? " " : "";
  const right = /^[\s.,;:?!]/.test(after) ? "" : " ";
  field.focus();
  field.setRangeText(`${left}[${id}]${right}`, start, end, "end");
  reflect();
}

export const focusQuestion = (): void => field.focus();

/** Write a question without sending it. */
export function suggest(text: string): void {
  field.value = text;
  field.focus();
  reflect();
}

function send(): void {
  const query = field.value.trim();
  if (!query || now().asking || now().connection !== "ok") return;
  field.value = "";
  reflect();
  void ask(query);
}

export function mountComposer(): void {
  const button = h("button", { type: "submit", class: "send" });
  const refers = h("div", { class: "refers", role: "group", "aria-label": "Insert a reference" });
  const elsewhere = h("div", { class: "elsewhere" });
  const form = h(
    "form",
    { on: { submit: (event) => (event.preventDefault(), now().asking ? void cancelAsk() : send()) } },
    h("div", { class: "field" }, mirror, field),
    button,
  );
  const hint = h("p", { id: "hint", class: "hint" }, "Enter sends. Click a mask to refer to it.");
  byId("composer").append(elsewhere, refers, form, hint);
  field.addEventListener("input", reflect);
  field.addEventListener("scroll", reflect);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  watch(
    (s) => [s.asking !== null, s.connection],
    (busy, connection) => {
      button.replaceChildren(icon(busy ? "stop" : "send"));
      button.title = busy ? "Cancel (Esc)" : "Send (Enter)";
      button.setAttribute("aria-label", busy ? "Cancel" : "Send");
      button.classList.toggle("busy", busy);
      button.disabled = connection !== "ok";
    },
  );
  watch(
    (s) => [s.session, s.asking],
    () => {
      const known = shownEntities();
      refers.replaceChildren(...known.map((each) => reference(each.id, each.name)));
      refers.hidden = !known.length;
      reflect();
    },
  );
  watch((s) => [s.session, s.slice, s.plane, s.info], () => showElsewhere(elsewhere));
  watch((s) => [s.info], (info) => {
    if (info) field.maxLength = info.limits.query_characters;
  });
}

function reference(id: number, name: string | null): HTMLButtonElement {
  const label = `Refer to ${id}${name ? `, ${name}` : ""}`;
  const act = () => refer(id);
  return h("button", { type: "button", class: "plain", "aria-label": label, title: label, on: { click: act } }, chip(id));
}

/** A dialogue is about one slice: say so, and lead there or start another. */
function showElsewhere(place: HTMLElement): void {
  const { session, sessions, image, plane, slice } = now();
  place.hidden = !session || atSession();
  if (!session || atSession()) return;
  const back = () => update({ plane: session.plane ?? "image", slice: session.slice ?? 0 });
  const here = sessions.find(
    (each) => each.image === image?.id && each.plane === plane && each.slice === slice,
  );
  const begin = () => void attempt(async () => openSession((await ensureSession()).id));
  place.replaceChildren(
    h("p", {}, `This dialogue is about slice ${(session.slice ?? 0) + 1} (${session.plane ?? "image"}).`),
    h("button", { type: "button", on: { click: back } }, "Go there"),
    here
      ? h("button", { type: "button", on: { click: () => void openSession(here.id) } }, `Open “${here.title}”`)
      : h("button", { type: "button", on: { click: begin } }, `New dialogue on slice ${slice + 1}`),
  );
}
