// The dialogue so far, and the answer that is on its way.

import { byId, h } from "../dom";
import type { Entity, Round, Session } from "../protocol";
import { type Asking, now, update, watch } from "../store";
import { chip, marked } from "./chips";
import { suggest } from "./composer";

const EXAMPLES = [
  "Segment the liver.",
  "Show me the organ that filters the blood.",
  "Is there a left kidney?",
];

export function mountChat(): void {
  const place = byId("chat");
  watch(
    (s) => [s.session, s.asking, s.image],
    (session, asking, image) => {
      if (!image) return;
      const rounds = session?.rounds ?? [];
      place.replaceChildren(
        ...rounds.flatMap((each, index) => showRound(session as Session, each, index)),
        ...(asking ? showAsking(asking) : []),
        ...(rounds.length || asking ? [] : [welcome()]),
      );
      place.scrollTop = place.scrollHeight;
    },
  );
  // Whatever grows beside it, the last word stays in sight.
  new ResizeObserver(() => (place.scrollTop = place.scrollHeight)).observe(place);
  setInterval(() => {
    const { asking } = now();
    const clock = place.querySelector(".elapsed");
    if (asking && clock) clock.textContent = elapsed(asking);
  }, 250);
}

function welcome(): HTMLElement {
  const act = (text: string) => () => suggest(text);
  return h(
    "div",
    { class: "welcome" },
    h("p", {}, "Ask for a structure, describe one, or name one by its relation to an earlier mask: “the organ above [1]”."),
    ...EXAMPLES.map((text) =>
      h("button", { type: "button", class: "example", on: { click: act(text) } }, text),
    ),
  );
}

function question(query: string, number: number): HTMLElement {
  return h("div", { class: "question" }, h("span", { class: "visually-hidden" }, `Question ${number}: `), marked(query));
}

function showRound(session: Session, round: Round, index: number): HTMLElement[] {
  const drawn = session.entities.filter((each) => round.entities.includes(each.id));
  return [
    question(round.query, index + 1),
    h("div", { class: "answer" }, h("p", {}, marked(round.text || "(no answer)")), findings(drawn)),
  ];
}

function findings(entities: readonly Entity[]): HTMLElement | null {
  const some = entities.filter((each) => each.mask || each.removed);
  if (!some.length) return null;
  return h("ul", { class: "findings" }, ...some.map(finding));
}

function finding(entity: Entity): HTMLLIElement {
  const select = () => update({ selected: entity.id });
  const name = entity.name ?? "unnamed";
  const score = entity.score === null ? "" : entity.score.toFixed(2);
  const status = entity.removed ? "deleted" : entity.status === "ok" ? "" : entity.status;
  return h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        class: "finding",
        title: "Select this mask",
        disabled: entity.removed,
        on: {
          click: select,
          mouseenter: () => update({ hovered: entity.id }),
          mouseleave: () => update({ hovered: null }),
        },
      },
      chip(entity.id),
      h("span", { class: "name" }, name),
      score && h("span", { class: "score", title: "The model's own estimate of the fit (IoU, 0 to 1)" }, score),
      status && h("span", { class: `status ${status}` }, status),
    ),
  );
}

const elapsed = (asking: Asking) => `${((Date.now() - asking.since) / 1000).toFixed(0)} s`;

function showAsking(asking: Asking): HTMLElement[] {
  const queue = asking.position === null ? "" : ` – place ${asking.position + 1} in the queue`;
  const doing = asking.position ? `Waiting${queue}` : asking.text ? "Drawing" : "Looking at the image";
  return [
    question(asking.query, (now().session?.rounds.length ?? 0) + 1),
    h(
      "div",
      { class: "answer pending" },
      asking.text ? h("p", {}, marked(asking.text)) : null,
      findings(asking.entities),
      h("p", { class: "working" }, h("span", { class: "dots" }), `${doing} `, h("span", { class: "elapsed" }, elapsed(asking))),
    ),
  ];
}
