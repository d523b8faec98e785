// The head of the page: where one is, undo and redo, export, sessions, theme.

import { change, goHome, redo, refreshSessions, undo } from "../actions";
import { api } from "../api";
import { byId, h, icon, iconButton, save } from "../dom";
import { now, watch } from "../store";
import { attempt } from "../trouble";
import { showHelp } from "./help";
import mark from "../icon.svg";
import { popover } from "./popover";
import { listSessions } from "./sessions";
import { themeButton } from "./theme";

const EXPORTS: Record<string, [string, string]> = {
  "dicom-seg": ["DICOM SEG", "segments with codes, in the grid of the source"],
  nifti: ["NIfTI", "masks in the grid of the volume"],
  png: ["PNG", "masks and pictures, zipped"],
  coco: ["COCO", "run-length code as JSON"],
  stl: ["STL", "surfaces in millimetres"],
  dialogue: ["Dialogue", "JSON for training"],
  official: ["Dialogue, official", "bracket JSON of the paper's code"],
  session: ["Session", "JSON, to be dropped on its image later"],
};

export function mountTopbar(): void {
  const home = h(
    "button",
    { type: "button", class: "brand", title: "Open another image", "aria-label": "MediRound, open another image", on: { click: goHome } },
    h("img", { src: mark, alt: "", width: "24", height: "24" }),
    h("span", {}, "MediRound"),
  );
  const title = h("input", {
    class: "title",
    "aria-label": "Name of the session",
    maxlength: "120",
    on: {
      change: () => void retitle(title),
      keydown: (event) => {
        if (event.key === "Enter") title.blur();
        if (event.key === "Escape") {
          title.value = now().session?.title ?? "";
          title.blur();
        }
      },
    },
  });
  const back = iconButton("undo", "Undo", () => void undo(), { key: "Control+Z" });
  const forth = iconButton("redo", "Redo", () => void redo(), { key: "Control+Shift+Z" });
  const exportButton = iconButton("download", "Export", () => undefined);
  const exporter = popover(exportButton, "Export", (close) => exportMenu(close));
  const listButton = iconButton("list", "Sessions", () => undefined);
  const sessions = popover(listButton, "Sessions", (close) => {
    const place = h("div", { class: "drawer" });
    listSessions(place, close);
    void attempt(async () => {
      await refreshSessions();
      listSessions(place, close);
    });
    return [h("h2", {}, "Sessions"), place];
  });
  const help = iconButton("help", "Keys and help", showHelp, { key: "?" });
  byId("top").append(
    home,
    title,
    h("div", { class: "group" }, back, forth),
    exporter,
    sessions,
    themeButton(),
    help,
  );
  watch(
    (s) => [s.session, s.asking, s.connection],
    (session, asking, connection) => {
      const off = !session || asking !== null || connection !== "ok";
      back.disabled = off || !session.can_undo;
      forth.disabled = off || !session.can_redo;
      exportButton.disabled = off || !session.entities.length;
      title.hidden = !session;
      if (document.activeElement !== title) title.value = session?.title ?? "";
    },
  );
}

async function retitle(field: HTMLInputElement): Promise<void> {
  const { session } = now();
  const title = field.value.trim();
  if (!session || title === session.title) return;
  if (!title || !(await change((id) => api.retitle(id, title)))) {
    field.value = now().session?.title ?? "";
  }
}

function exportMenu(close: () => void): Node[] {
  const { session } = now();
  if (!session) return [];
  const items = session.exports.map((to) => {
    const [name, what] = EXPORTS[to] ?? [to, ""];
    const act = () => {
      close();
      void attempt(async () => {
        const file = await api.export(session.id, to);
        save(file.blob, file.name);
      });
    };
    return h(
      "button",
      { type: "button", class: "item", "data-export": to, on: { click: act } },
      icon("download"),
      h("span", {}, h("b", {}, name), h("small", {}, what)),
    );
  });
  const refused = Object.entries(session.exports_refused).map(([to, why]) =>
    h(
      "button",
      { type: "button", class: "item", "data-export": to, disabled: true },
      icon("download"),
      h("span", {}, h("b", {}, EXPORTS[to]?.[0] ?? to), h("small", {}, why)),
    ),
  );
  return [h("h2", {}, "Export"), h("div", { class: "menu" }, ...items, ...refused)];
}
