// The page without an image: open one, take a sample, resume a session.

import { openFiles, openSample } from "../actions";
import { byId, h, icon } from "../dom";
import type { Sample } from "../protocol";
import { update, watch } from "../store";
import { dropped } from "../zip";
import { listSessions } from "./sessions";
import { report } from "../trouble";

export function mountHome(): void {
  const place = byId("home");
  const file = h("input", {
    type: "file",
    id: "file",
    class: "visually-hidden",
    tabindex: "-1",
    multiple: true,
    "aria-label": "Image files",
    on: { change: () => take(file) },
  });
  const folder = h("input", {
    type: "file",
    webkitdirectory: true,
    class: "visually-hidden",
    tabindex: "-1",
    "aria-label": "Folder with a series",
    on: { change: () => take(folder) },
  });
  const samples = h("div", { class: "samples" });
  const sessions = h("div", {});
  place.append(
    h(
      "div",
      { class: "open" },
      h("h1", {}, "Talk about a medical image"),
      h("p", { class: "lead" }, "Open one, ask for a structure, and go on from there: every mask gets a number that later questions can use."),
      h(
        "div",
        { class: "dropzone" },
        icon("open"),
        h("p", {}, "Drop an image or a folder here"),
        h(
          "div",
          { class: "group" },
          h("button", { type: "button", class: "primary", on: { click: () => file.click() } }, "Choose a file"),
          h("button", { type: "button", on: { click: () => folder.click() } }, "Choose a folder"),
        ),
        h("p", { class: "hint" }, "DICOM, NIfTI, PNG, JPEG, TIFF, a series as folder or zip"),
        file,
        folder,
      ),
    ),
    h("section", { "aria-labelledby": "samples-title" }, h("h2", { id: "samples-title" }, "Samples"), samples),
    h("section", { "aria-labelledby": "recent-title" }, h("h2", { id: "recent-title" }, "Sessions"), sessions),
  );
  watch((s) => [s.samples], (all) => {
    samples.replaceChildren(...all.map(card));
    (samples.parentElement as HTMLElement).hidden = !all.length;
  });
  watch((s) => [s.sessions, s.image], (all, _image) => {
    listSessions(sessions, () => undefined);
    (sessions.parentElement as HTMLElement).hidden = !all.length;
  });
  watch((s) => [s.image], (image) => {
    byId("home").hidden = image !== null;
    byId("viewer").hidden = byId("side").hidden = image === null;
  });
  mountDrop();
  mountLoading();
}

function take(input: HTMLInputElement): void {
  const files = [...(input.files ?? [])].filter((each) => !each.name.startsWith("."));
  input.value = "";
  void openFiles(files);
}

function card(sample: Sample): HTMLElement {
  const note = sample.available ? "" : "Not on this machine: mediround weights pull";
  return h(
    "button",
    {
      type: "button",
      class: "sample",
      "data-sample": sample.name,
      disabled: !sample.available,
      on: { click: () => void openSample(sample) },
    },
    h("b", {}, sample.title),
    h("small", {}, sample.description),
    note && h("small", {}, note),
  );
}

function mountDrop(): void {
  const veil = byId("drop");
  const files = (event: DragEvent) => !!event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!files(event) || !event.dataTransfer) return;
    event.preventDefault();
    dropped(event.dataTransfer).then(openFiles, report);
  });
}

function mountLoading(): void {
  const place = byId("loading");
  watch((s) => [s.loading], (loading) => {
    place.hidden = !loading;
    if (!loading) return;
    const bar = h("progress", loading.share === null ? {} : { value: String(loading.share), max: "1" });
    const stop = loading.cancel;
    const cancel = stop && (() => (stop(), update({ loading: null })));
    place.replaceChildren(
      h("p", {}, loading.text),
      bar,
      ...(cancel ? [h("button", { type: "button", on: { click: cancel } }, "Cancel")] : []),
    );
  });
}
