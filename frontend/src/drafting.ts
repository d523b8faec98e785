// Drawing by hand: a mask under the pencil, its own undo, and its way into the session.

import { change, ensureSession, setSession } from "./actions";
import { api } from "./api";
import { Mask } from "./mask/mask";
import { decode, encode } from "./mask/rle";
import type { Entity, Rle } from "./protocol";
import { type Draft, now, note, update } from "./store";
import { attempt } from "./trouble";

const decoded = new WeakMap<Rle, Mask>();

/** The mask of `entity`, decoded once. */
export function maskOf(entity: Entity): Mask | null {
  if (!entity.mask) return null;
  let mask = decoded.get(entity.mask);
  if (!mask) {
    mask = decode(entity.mask);
    decoded.set(entity.mask, mask);
  }
  return mask;
}

function imageSize(): [number, number] {
  const { image, plane } = now();
  return image?.planes[plane]?.size ?? [1, 1];
}

/** Take up entity `target` for correction, or an empty sheet. */
export function startDraft(target: number | null): Draft {
  const entity = now().session?.entities.find((each) => each.id === target);
  const known = entity ? maskOf(entity) : null;
  const mask = known?.copy() ?? new Mask(...imageSize());
  const draft: Draft = { target, mask, past: [], future: [] };
  update({ draft, space: false, selected: target ?? now().selected });
  return draft;
}

/** The draft, begun with the selected entity where there is none. */
export function currentDraft(): Draft {
  const { draft, selected, session } = now();
  if (draft) return draft;
  const entity = session?.entities.find((each) => each.id === selected && !each.removed);
  return startDraft(entity ? entity.id : null);
}

/** Show `mask` in place of the draft's; a step to be undone when `step`. */
export function redraw(mask: Mask, before: Mask | null): void {
  const { draft } = now();
  if (!draft) return;
  update({
    draft: before
      ? { ...draft, mask, past: [...draft.past.slice(-99), before], future: [] }
      : { ...draft, mask },
  });
}

export function undoStroke(): boolean {
  const { draft } = now();
  const before = draft?.past.at(-1);
  if (!draft || !before) return false;
  const past = draft.past.slice(0, -1);
  update({ draft: { ...draft, mask: before, past, future: [draft.mask, ...draft.future] } });
  return true;
}

export function redoStroke(): boolean {
  const { draft } = now();
  const [next, ...future] = draft?.future ?? [];
  if (!draft || !next) return false;
  update({ draft: { ...draft, mask: next, past: [...draft.past, draft.mask], future } });
  return true;
}

export function discardDraft(): void {
  update({ draft: null, tool: "point" });
}

/** Give the draft to the session: one correction, one step to undo. */
export async function applyDraft(name: string | null): Promise<void> {
  const { draft } = now();
  if (!draft) return;
  if (draft.mask.empty) {
    note("The mask is empty: draw something, or discard it.", "error");
    return;
  }
  const { target } = draft;
  const mask = encode(draft.mask);
  const kept =
    target === null
      ? await attempt(async () => {
          const session = await ensureSession();
          setSession(await api.add(session.id, mask, name));
        })
      : await change((id) => api.replace(id, target, mask));
  if (!kept) return;
  const last = target ?? now().session?.entities.at(-1)?.id ?? null;
  update({ draft: null, tool: "point", selected: last });
  note(target === null ? `[${last}] is yours: ask about it.` : `[${target}] is corrected.`);
}
