// What the page knows, in one value; panels watch the parts that they show.

import type { BoxFit, Entity, ImageInfo, Info, Sample, Session, SessionSummary } from "./protocol";
import type { Mask } from "./mask/mask";

export type Tool = "point" | "window" | "brush" | "eraser" | "polygon" | "box" | "wand";

export const DRAWING: readonly Tool[] = ["brush", "eraser", "polygon", "box", "wand"];

/** How one entity is shown. */
export interface Look {
  hidden: boolean;
  outline: boolean;
  /** 0..1, relative to the opacity of all. */
  opacity: number;
}

/** A mask under the pencil: that of entity `target`, or a new one. */
export interface Draft {
  target: number | null;
  mask: Mask;
  past: Mask[];
  future: Mask[];
}

export interface Asking {
  query: string;
  text: string;
  /** Place in the queue; null once the model works. */
  position: number | null;
  entities: Entity[];
  since: number;
}

export interface Note {
  id: number;
  kind: "error" | "info";
  text: string;
}

export interface State {
  info: Info | null;
  connection: "ok" | "away" | "locked";
  samples: Sample[];
  sessions: SessionSummary[];
  image: ImageInfo | null;
  plane: string;
  slice: number;
  /** Whether the whole volume is shown in place of a slice. */
  space: boolean;
  session: Session | null;
  asking: Asking | null;
  loading: { text: string; share: number | null; cancel: (() => void) | null } | null;
  tool: Tool;
  brush: number;
  boxFit: BoxFit;
  /** Whether the model looks for what a box encloses. */
  finding: boolean;
  selected: number | null;
  hovered: number | null;
  draft: Draft | null;
  opacity: number;
  outline: boolean;
  captions: boolean;
  looks: ReadonlyMap<number, Look>;
  window: { center: number; width: number } | null;
  notes: Note[];
}

export const PLAIN: Look = { hidden: false, outline: false, opacity: 1 };

let state: State = {
  info: null,
  connection: "ok",
  samples: [],
  sessions: [],
  image: null,
  plane: "image",
  slice: 0,
  space: false,
  session: null,
  asking: null,
  loading: null,
  tool: "point",
  brush: 6,
  boxFit: "structure",
  finding: false,
  selected: null,
  hovered: null,
  draft: null,
  opacity: 1,
  outline: false,
  captions: true,
  looks: new Map(),
  window: null,
  notes: [],
};

type Watcher = () => void;
const watchers = new Set<Watcher>();

export const now = (): Readonly<State> => state;

export function update(changes: Partial<State>): void {
  state = { ...state, ...changes };
  for (const each of [...watchers]) each();
}

/** Call `show` now, and whenever something that `pick` returns is another value. */
export function watch<T extends unknown[]>(
  pick: (state: Readonly<State>) => readonly [...T],
  show: (...picked: NoInfer<T>) => void,
): void {
  let last = pick(state);
  show(...last);
  watchers.add(() => {
    const next = pick(state);
    if (next.some((value, index) => !Object.is(value, last[index]))) {
      last = next;
      show(...next);
    }
  });
}

export const lookOf = (id: number): Look => state.looks.get(id) ?? PLAIN;

export function setLook(id: number, changes: Partial<Look>): void {
  const looks = new Map(state.looks);
  looks.set(id, { ...lookOf(id), ...changes });
  update({ looks });
}

let counter = 0;

/** Say something at the edge of the page; it goes by itself unless it is an error. */
export function note(text: string, kind: Note["kind"] = "info"): void {
  const id = ++counter;
  const others = state.notes.filter((each) => each.text !== text).slice(-2);
  update({ notes: [...others, { id, kind, text }] });
  setTimeout(() => dismiss(id), kind === "error" ? 15_000 : 5_000);
}

export function dismiss(id: number): void {
  if (state.notes.some((each) => each.id === id)) {
    update({ notes: state.notes.filter((each) => each.id !== id) });
  }
}

/** Whether the session's own slice is what is looked at. */
export function atSession(of: Readonly<State> = state): boolean {
  const { session, image } = of;
  if (!session || !image) return false;
  return image.kind === "image" || (session.plane === of.plane && session.slice === of.slice);
}

/** The entities with something to be seen, those of an answer under way included. */
export function shownEntities(of: Readonly<State> = state): Entity[] {
  const known = of.session?.entities.filter((each) => !each.removed) ?? [];
  const ids = new Set(known.map((each) => each.id));
  return [...known, ...(of.asking?.entities.filter((each) => !ids.has(each.id)) ?? [])];
}
