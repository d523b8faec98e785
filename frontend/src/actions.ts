// What a person can do with images and sessions; panels and keys call these.

import { api } from "./api";
import { compose } from "./panels/composer";
import type { ImageInfo, Sample, Session } from "./protocol";
import { atSession, note, now, update } from "./store";
import { attempt, report } from "./trouble";
import { zip } from "./zip";

const HASH = /^#s=(.+)$/;

/** The session in the page's address. */
export const addressed = (): string | null => {
  const found = HASH.exec(location.hash)?.[1];
  return found ? decodeURIComponent(found) : null;
};

function setAddress(session: string | null): void {
  const hash = session ? `#s=${encodeURIComponent(session)}` : "";
  if (location.hash !== hash) history.pushState(null, "", location.pathname + hash);
}

export async function refreshSessions(): Promise<void> {
  update({ sessions: await api.sessions() });
}

/** Show `session` as the server has it now. */
export function setSession(session: Session): void {
  const { selected } = now();
  const gone = !session.entities.some((each) => each.id === selected && !each.removed);
  update({ session, selected: gone ? null : selected });
  setAddress(session.id);
  document.title = `${session.title} – MediRound`;
}

function blank(): void {
  update({
    session: null,
    selected: null,
    draft: null,
    asking: null,
    looks: new Map(),
    window: null,
    tool: "point",
  });
}

export function goHome(): void {
  asked?.abort();
  blank();
  update({ image: null, space: false });
  setAddress(null);
  document.title = "MediRound";
  void attempt(refreshSessions);
}

/** Show an image with no dialogue yet; of a volume one slice, by default the middle one. */
export function showImage(image: ImageInfo, slice: number | null = null): void {
  const plane = image.native_plane ?? Object.keys(image.planes)[0] ?? "image";
  blank();
  setAddress(null);
  const middle = Math.floor((image.planes[plane]?.count ?? 1) / 2);
  update({ image, plane, space: false, slice: slice ?? middle });
}

export async function openSession(id: string): Promise<void> {
  await attempt(async () => {
    const session = await api.session(id);
    const known = now().image;
    const image = known?.id === session.image ? known : await api.image(session.image);
    blank();
    const plane = session.plane ?? Object.keys(image.planes)[0] ?? "image";
    update({ image, plane, slice: session.slice ?? 0 });
    setSession(session);
  });
}

export async function openSample(sample: Sample): Promise<void> {
  update({ loading: { text: "Opening the sample …", share: null, cancel: null } });
  await attempt(async () => showImage(await api.openSample(sample.name), sample.slice));
  update({ loading: null });
}

/** Open one file, the files of a series, or a saved session for the image in view. */
export async function openFiles(files: readonly File[]): Promise<void> {
  const [first] = files;
  if (!first) return;
  if (files.length === 1 && /\.(json|mediround)$/i.test(first.name)) return resumeFile(first);
  const stop = new AbortController();
  const cancel = () => stop.abort();
  await attempt(async () => {
    update({ loading: { text: "Reading …", share: null, cancel } });
    const body = files.length === 1 ? first : await zip(files);
    const most = now().info?.limits.upload_bytes;
    if (most && body.size > most) {
      note(`${size(body.size)} are too much; the server takes ${size(most)} at most.`, "error");
      return;
    }
    const progress = (share: number) =>
      update({
        loading:
          share < 1
            ? { text: "Uploading …", share, cancel }
            : { text: "The server reads the image …", share: null, cancel },
      });
    showImage(await api.upload(body, progress, stop.signal));
  });
  update({ loading: null });
}

async function resumeFile(file: File): Promise<void> {
  const { image } = now();
  if (!image) {
    note("Open the image of this session first, then drop the session on it.", "error");
    return;
  }
  await attempt(async () => {
    let content: unknown;
    try {
      content = JSON.parse(await file.text());
    } catch {
      note(`${file.name} is not a saved session.`, "error");
      return;
    }
    await openSession((await api.resume(content, image.id)).id);
  });
}

function size(bytes: number): string {
  return bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(0)} MB` : `${Math.ceil(bytes / 1024)} kB`;
}

/** The session about the slice in view, begun where there is none. */
export async function ensureSession(): Promise<Session> {
  const { session, image, plane, slice } = now();
  if (session && atSession()) return session;
  if (!image) throw new Error("no image is open");
  const single = image.kind === "image";
  const begun = await api.create(image.id, single ? null : plane, single ? null : slice);
  blankFor(begun);
  return begun;
}

function blankFor(session: Session): void {
  const { draft, tool, window } = now();
  blank();
  update({ draft, tool, window });
  setSession(session);
}

let asked: AbortController | null = null;

export async function ask(query: string): Promise<void> {
  if (now().asking || !query.trim()) return;
  asked = new AbortController();
  const { signal } = asked;
  update({ asking: { query, text: "", position: 0, entities: [], since: Date.now() } });
  try {
    const session = await ensureSession();
    if (signal.aborted) return;
    update({ asking: { query, text: "", position: 0, entities: [], since: Date.now() } });
    for await (const event of api.ask(session.id, query, signal)) {
      const { asking } = now();
      if (!asking || signal.aborted) return;
      if (event.kind === "queued") update({ asking: { ...asking, position: event.position } });
      else if (event.kind === "started") update({ asking: { ...asking, position: null } });
      else if (event.kind === "text") {
        update({ asking: { ...asking, position: null, text: event.text } });
      } else if (event.kind === "entity") {
        update({ asking: { ...asking, entities: [...asking.entities, event.entity] } });
      } else {
        update({ asking: null });
        setSession(event.session);
      }
    }
  } catch (error) {
    // Nothing was lost: the question goes back to where it can be sent again.
    compose(query);
    report(error);
  } finally {
    if (asked?.signal === signal) asked = null;
    if (!signal.aborted && now().asking?.query === query) update({ asking: null });
    void attempt(refreshSessions);
  }
}

export async function cancelAsk(): Promise<void> {
  const { session, asking } = now();
  if (!asking || asked?.signal.aborted) return;
  asked?.abort();
  compose(asking.query);
  // The next question must not overtake the cancelling, and the answer may just have been given.
  if (session) {
    await attempt(async () => {
      await api.cancel(session.id);
      const fresh = await api.session(session.id);
      if (now().session?.id !== session.id) return;
      setSession(fresh);
      const kept = fresh.rounds.length > session.rounds.length;
      if (kept) compose("", asking.query);
      note(kept ? "The answer was there before it was cancelled." : "Cancelled. Nothing was changed.");
    });
  }
  if (now().asking?.since === asking.since) update({ asking: null });
}

/** Apply `change` to the session in view and show what became of it. */
export async function change(make: (id: string) => Promise<Session>): Promise<boolean> {
  const { session } = now();
  if (!session) return false;
  const done = await attempt(async () => setSession(await make(session.id)));
  if (done) void attempt(refreshSessions);
  return done;
}

export async function undo(): Promise<void> {
  if (now().session?.can_undo && !now().asking) await change(api.undo);
}

export async function redo(): Promise<void> {
  if (now().session?.can_redo && !now().asking) await change(api.redo);
}

export async function removeSession(id: string): Promise<void> {
  await attempt(async () => {
    await api.remove(id);
    if (now().session?.id === id) goHome();
    await refreshSessions();
  });
}

/** After the server was away: show what it holds, and what it had answered meanwhile. */
export async function takeUp(): Promise<void> {
  if (!now().info) await begin();
  const { session } = now();
  if (session) {
    const fresh = await api.session(session.id);
    setSession(fresh);
    const last = fresh.rounds.at(-1);
    if (fresh.rounds.length > session.rounds.length && last) compose("", last.query);
  }
  await refreshSessions();
}

/** The first words with the server. */
export async function begin(): Promise<void> {
  const [info, samples] = await Promise.all([api.info(), api.samples()]);
  update({ info, samples, connection: "ok" });
  await refreshSessions();
  const id = addressed();
  if (id && now().session?.id !== id) await openSession(id);
}
