// Earlier dialogues: resume, rename, delete.

import { openSession, refreshSessions, removeSession, setSession } from "../actions";
import { api } from "../api";
import { h, iconButton } from "../dom";
import type { SessionSummary } from "../protocol";
import { now } from "../store";
import { attempt } from "../trouble";

const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function ago(time: string): string {
  const minutes = (Date.parse(time) - Date.now()) / 60_000;
  if (minutes > -1) return "just now";
  if (minutes > -60) return AGO.format(Math.round(minutes), "minute");
  if (minutes > -60 * 24) return AGO.format(Math.round(minutes / 60), "hour");
  return AGO.format(Math.round(minutes / 60 / 24), "day");
}

const thumbnails = new Map<string, Promise<string>>();

/** An image behind the token. */
export function thumbnail(path: string): HTMLImageElement {
  const image = h("img", { alt: "", class: "thumbnail", width: "56", height: "56" });
  let address = thumbnails.get(path);
  if (!address) {
    address = api.picture(path);
    thumbnails.set(path, address);
    address.catch(() => thumbnails.delete(path));
  }
  address.then(
    (url) => (image.src = url),
    () => image.classList.add("missing"),
  );
  return image;
}

/** Lists the sessions in `place`; a line that is being renamed, or asked about, stays as it is. */
export function listSessions(place: HTMLElement, close: () => void): void {
  const { sessions } = now();
  const asking = new Map(
    [...place.querySelectorAll<HTMLLIElement>("li.asking")].map((line) => [line.dataset.session, line]),
  );
  const lines = sessions.map((each) => asking.get(each.id) ?? item(each, close));
  const focused = document.activeElement;
  place.replaceChildren(
    lines.length ? h("ul", { class: "sessions" }, ...lines) : h("p", { class: "hint" }, "No sessions yet."),
  );
  if (focused instanceof HTMLElement && place.contains(focused)) focused.focus();
}

function item(each: SessionSummary, close: () => void): HTMLLIElement {
  const rounds = `${each.rounds} ${each.rounds === 1 ? "round" : "rounds"}`;
  const where = each.slice === null || each.plane === null ? "" : `, ${each.plane} ${each.slice + 1}`;
  const open = () => {
    close();
    void openSession(each.id);
  };
  const kind = each.modality === "UNKNOWN" ? "image" : each.modality;
  const facts = `${kind}${where} · ${rounds} · ${ago(each.updated)}`;
  const line = h(
    "li",
    { "data-session": each.id, class: each.id === now().session?.id ? "current" : "" },
    h(
      "button",
      { type: "button", class: "session", on: { click: open } },
      thumbnail(each.thumbnail),
      h("span", {}, h("b", {}, each.title), h("small", {}, facts)),
    ),
    iconButton("pencil", `Rename ${each.title}`, () => rename(each, line, close)),
    iconButton("trash", `Delete ${each.title}`, () => confirm(each, line, close)),
  );
  return line;
}

function rename(each: SessionSummary, line: HTMLLIElement, close: () => void): void {
  const field = h("input", { value: each.title, maxlength: "120", "aria-label": "New name" });
  const submit = (event: Event) => {
    event.preventDefault();
    const title = field.value.trim();
    if (!title) return;
    void attempt(async () => {
      const session = await api.retitle(each.id, title);
      if (now().session?.id === each.id) setSession(session);
      await refreshSessions();
      line.replaceWith(item({ ...each, title }, close));
    });
  };
  const form = h("form", { class: "inline", on: { submit } }, field, h("button", {}, "Rename"));
  line.classList.add("asking");
  line.replaceChildren(form);
  field.select();
}

/** Deleting cannot be undone, so it is asked about where it happens. */
function confirm(each: SessionSummary, line: HTMLLIElement, close: () => void): void {
  const keep = h("button", { type: "button", on: { click: () => line.replaceWith(item(each, close)) } }, "Keep");
  const gone = () => {
    line.remove();
    void removeSession(each.id);
  };
  line.classList.add("asking");
  line.replaceChildren(
    h("p", {}, `Delete “${each.title}” with its masks for good?`),
    keep,
    h("button", { type: "button", class: "danger", on: { click: gone } }, "Delete"),
  );
  keep.focus();
}
