// A box that was drawn: the structure in it, found by the model, or its filled rectangle.

import { ensureSession, refreshSessions, setSession } from "./actions";
import { api } from "./api";
import type { Point } from "./mask/mask";
import type { BoxFit, Entity, Session } from "./protocol";
import { note, now, type State, update } from "./store";
import { attempt } from "./trouble";

/** Share of a box below which what was found in it is likely something else; benchmarks/boxes.py. */
const WARNING = 0.6;

/** Why a box can only be its rectangle now; empty when the person may choose. */
export function onlyRectangle(of: Readonly<State> = now()): string {
  if (of.draft && (of.draft.target !== null || of.draft.past.length)) {
    return "While a mask is drawn, a box is one of its strokes.";
  }
  const fits = of.info?.box_fits;
  return fits && !fits.includes("structure") ? "This model cannot find structures in boxes." : "";
}

/** What the next box stands for. */
export const boxFit = (of: Readonly<State> = now()): BoxFit =>
  onlyRectangle(of) ? "rectangle" : of.boxFit;

/** A page that was there before the model asks again, until it knows. */
export async function learnFits(): Promise<void> {
  while (now().info?.box_fits === null && now().tool === "box") {
    if (!(await attempt(async () => update({ info: await api.info() })))) return;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

export function switchFit(): void {
  const why = onlyRectangle();
  if (why) note(why);
  else update({ boxFit: now().boxFit === "structure" ? "rectangle" : "structure" });
}

const area = (box: Entity["box"]): number => (box ? (box[2] - box[0]) * (box[3] - box[1]) : 0);

/** Whether what was found reaches through most of its box, as what a person meant does. */
function fills(session: Session | null, id: number | null): boolean {
  const found = session?.entities.find((each) => each.id === id);
  return !found || area(found.box) >= WARNING * area(found.box_prompt);
}

/** Let the model find what the box between two corners encloses: a new mask, one step to undo. */
export async function findStructure(a: Point, b: Point, name: string | null): Promise<void> {
  const box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
  update({ finding: true, draft: null });
  const done = await attempt(async () => {
    const session = await ensureSession();
    setSession(await api.addBox(session.id, box, name));
  });
  update({ finding: false, tool: "box" });
  if (!done) return;
  const last = now().session?.entities.at(-1)?.id ?? null;
  update({ selected: last });
  const partly = fills(now().session, last) ? "" : ": it fills only part of it, so look closely";
  note(`[${last}] is what the model found in the box${partly}.`);
  void attempt(refreshSessions);
}
