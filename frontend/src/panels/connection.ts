// What the page says about the server, and short notes.

import { begin } from "../actions";
import { setToken } from "../api";
import { byId, h, icon } from "../dom";
import { dismiss, watch } from "../store";
import { attempt, reconnect } from "../trouble";

export function mountConnection(): void {
  const banner = byId("banner");
  watch((s) => [s.connection], (connection) => {
    banner.hidden = connection === "ok";
    if (connection === "away") {
      banner.replaceChildren(
        h("p", {}, h("b", {}, "The server does not answer. "), "All that was answered is kept there. Trying again …"),
        h("button", { type: "button", on: { click: () => void reconnect() } }, "Try now"),
      );
    } else if (connection === "locked") banner.replaceChildren(tokenForm());
  });
  const notes = byId("notes");
  watch((s) => [s.notes], (all) => {
    notes.replaceChildren(
      ...all.map((each) =>
        h(
          "div",
          { class: `note ${each.kind}` },
          h("p", {}, each.text),
          h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", on: { click: () => dismiss(each.id) } }, icon("close")),
        ),
      ),
    );
  });
}

function tokenForm(): HTMLFormElement {
  const field = h("input", { type: "password", autocomplete: "current-password", "aria-label": "Token", required: true });
  const submit = (event: Event) => {
    event.preventDefault();
    setToken(field.value.trim());
    void attempt(begin);
  };
  return h(
    "form",
    { on: { submit } },
    h("p", {}, h("b", {}, "This server wants a token. "), "It was printed where the server was started."),
    field,
    h("button", {}, "Unlock"),
  );
}
