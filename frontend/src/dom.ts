// Elements without a framework.

type Child = Node | string | null | false | undefined;

interface Properties {
  class?: string;
  html?: never;
  on?: { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
  [attribute: string]: unknown;
}

/** An element with attributes (true: present, false, null: absent), handlers and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [kind, handler] of Object.entries(value as object)) {
        element.addEventListener(kind, handler as EventListener);
      }
    } else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.filter((child): child is Node | string => !!child));
  return element;
}

/** The element of index.html with this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found as T;
}

const ICONS = {
  point: "M5 3l14 8-6 2-3 6z",
  window: "M12 3a9 9 0 100 18zM12 3a9 9 0 010 18",
  brush: "M20 4L10 14M9 13c-3 0-4 2-4 4 0 1-1 2-2 2 3 2 9 1 9-3z",
  eraser: "M8 20h12M4 15l9-10 7 6-8 9H8z",
  polygon: "M12 3l9 7-4 10H7L3 10z",
  box: "M4 5h16v14H4z",
  wand: "M4 20L14 10M17 3v4M15 5h4M20 11v3M18.500 12.500h3M9 3v3M7.500 4.500h3",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 016 6",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 00-6 6",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 100 6 3 3 0 000-6z",
  hidden: "M3 3l18 18M10 5.300A9 9 0 0112 5c6 0 10 7 10 7l-3 3.800M6 7.500C3.500 9.300 2 12 2 12s4 7 10 7c1.500 0 2.800-.4 4-1",
  pencil: "M4 20l1-5L16 4l4 4L9 19z",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  download: "M12 4v11M7 10l5 5 5-5M4 20h16",
  open: "M3 6h6l2 3h10v10H3z",
  list: "M8 6h13M8 12h13M8 18h13M3.500 6h.01M3.500 12h.01M3.500 18h.01",
  send: "M4 12h15M13 6l6 6-6 6",
  stop: "M6 6h12v12H6z",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19",
  layers: "M12 3l9 5-9 5-9-5zM3 13l9 5 9-5",
  cube: "M12 3l8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9",
  close: "M6 6l12 12M18 6L6 18",
  help: "M9 9a3 3 0 115 2.200c-1.200 1-2 1.500-2 3M12 18h.01",
  check: "M5 12l5 5 9-10",
  label: "M3 5h10l8 7-8 7H3z",
} as const;

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon and says `label`; `key` is its shortcut. */
export function iconButton(
  name: IconName,
  label: string,
  act: (event: MouseEvent) => void,
  more: Properties & { key?: string } = {},
): HTMLButtonElement {
  const { key, class: extra, ...rest } = more;
  const properties = {
    type: "button",
    class: `icon-button ${extra ?? ""}`.trim(),
    title: key ? `${label} (${key})` : label,
    "aria-label": label,
    "aria-keyshortcuts": key ?? null,
    on: { click: act },
    ...rest,
  };
  return h("button", properties, icon(name));
}

/** Offer `blob` as a download. */
export function save(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
