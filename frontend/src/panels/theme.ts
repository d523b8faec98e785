// Light, dark, or as the system has it.

import { iconButton } from "../dom";
import { note } from "../store";

const KEY = "mediround-theme";
const ORDER = ["system", "light", "dark"] as const;

type Theme = (typeof ORDER)[number];

function current(): Theme {
  const stored = localStorage.getItem(KEY) as Theme | null;
  return stored && ORDER.includes(stored) ? stored : "system";
}

export function applyTheme(): void {
  const theme = current();
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

export function themeButton(): HTMLButtonElement {
  return iconButton("sun", "Light or dark", () => {
    const next = ORDER[(ORDER.indexOf(current()) + 1) % ORDER.length] as Theme;
    localStorage.setItem(KEY, next);
    applyTheme();
    note(next === "system" ? "Colours follow the system." : `Colours are ${next}.`);
  });
}
