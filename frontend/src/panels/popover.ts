// A small panel that opens under its button: Escape and a click elsewhere close it.

import { h } from "../dom";

/** `button` opens what `fill` returns, made anew each time. */
export function popover(
  button: HTMLButtonElement,
  label: string,
  fill: (close: () => void) => Node[],
): HTMLElement {
  const panel = h("div", { class: "popover", role: "dialog", "aria-label": label, hidden: true });
  const place = h("div", { class: "popover-place" }, button, panel);
  const close = () => {
    if (panel.hidden) return;
    const inside = panel.contains(document.activeElement);
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (inside) button.focus();
  };
  button.setAttribute("aria-haspopup", "dialog");
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    if (!panel.hidden) return close();
    panel.replaceChildren(...fill(close));
    panel.hidden = false;
    panel.style.translate = "";
    const box = panel.getBoundingClientRect();
    const over = Math.max(0, box.right - innerWidth + 8) - Math.max(0, 8 - box.left);
    if (over) panel.style.translate = `${-over}px`;
    button.setAttribute("aria-expanded", "true");
    panel.querySelector<HTMLElement>("button, input, a")?.focus();
  });
  // Before anybody else, and wherever the focus went when the panel's content was made anew.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || panel.hidden) return;
      if ((event.target as HTMLElement).matches("input.rename, .inline input")) return;
      event.stopPropagation();
      close();
      button.focus();
    },
    { capture: true },
  );
  document.addEventListener("pointerdown", (event) => {
    if (!place.contains(event.target as Node)) close();
  });
  return place;
}
