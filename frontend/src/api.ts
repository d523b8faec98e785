// The one place that talks to the server.

import type {
  AskEvent,
  Entity,
  ErrorBody,
  ImageInfo,
  Info,
  Labels,
  Rle,
  Sample,
  Session,
  SessionSummary,
  Values,
} from "./protocol";

/** The server answered, and refused. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
  ) {
    super(sentence(body));
  }
}

/** The server did not answer, or something between did in its place. */
export class Away extends Error {}

const TOKEN = "mediround-token";

/** A token in the address's fragment is taken over and removed from sight. */
export function takeToken(): void {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (found?.[1]) {
    setToken(decodeURIComponent(found[1]));
    const rest = location.hash.replace(/&?token=[^&]+/, "").replace(/^#&/, "#");
    history.replaceState(null, "", location.pathname + (rest === "#" ? "" : rest));
  }
}

export function setToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

function headers(more: Record<string, string> = {}): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

function sentence(body: ErrorBody): string {
  const first = body.found.replace(/\.$/, "");
  const parts = [first.charAt(0).toUpperCase() + first.slice(1)];
  if (body.expected) parts.push(`expected ${body.expected.replace(/\.$/, "")}`);
  if (body.remedy) parts.push(body.remedy.replace(/\.$/, ""));
  return parts.join("; ") + ".";
}

function refusal(status: number, text: string): Error {
  try {
    const body = JSON.parse(text) as Partial<ErrorBody>;
    if (typeof body.found === "string") {
      return new Refusal(status, { type: "", expected: "", remedy: "", ...body } as ErrorBody);
    }
  } catch {
    // Not the server's own words: a proxy answered.
  }
  return new Away(`the server answered ${status}`);
}

async function send(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers as never) });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Away("the server does not answer");
  }
  if (!response.ok) throw refusal(response.status, await response.text());
  return response;
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const options: RequestInit =
    body === undefined
      ? { method }
      : { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await send(path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

const ARRAYS = {
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
} as const;

const at = (session: string) => `/v1/sessions/${encodeURIComponent(session)}`;

export const api = {
  info: () => json<Info>("GET", "/v1/info"),
  healthy: async () => (await fetch("/healthz", { cache: "no-store" })).ok,
  ready: async () => (await fetch("/readyz", { cache: "no-store" })).ok,
  samples: async () => (await json<{ samples: Sample[] }>("GET", "/v1/samples")).samples,
  openSample: (name: string) =>
    json<ImageInfo>("POST", `/v1/samples/${encodeURIComponent(name)}`),
  image: (id: string) => json<ImageInfo>("GET", `/v1/images/${encodeURIComponent(id)}`),
  sessions: async () =>
    (await json<{ sessions: SessionSummary[] }>("GET", "/v1/sessions")).sessions,
  session: (id: string) => json<Session>("GET", at(id)),
  create: (image: string, plane: string | null, slice: number | null) =>
    json<Session>("POST", "/v1/sessions", { image, plane, slice }),
  resume: (file: unknown, image: string) =>
    json<Session>("POST", "/v1/sessions/resume", { file, image }),
  retitle: (id: string, title: string) => json<Session>("PATCH", at(id), { title }),
  remove: (id: string) => json<void>("DELETE", at(id)),
  undo: (id: string) => json<Session>("POST", `${at(id)}/undo`),
  redo: (id: string) => json<Session>("POST", `${at(id)}/redo`),
  add: (id: string, mask: Rle, name: string | null) =>
    json<Session>("POST", `${at(id)}/entities`, { mask, name }),
  addBox: (id: string, box: readonly number[], name: string | null) =>
    json<Session>("POST", `${at(id)}/entities`, { box, fit: "structure", name }),
  replace: (id: string, entity: number, mask: Rle) =>
    json<Session>("PUT", `${at(id)}/entities/${entity}/mask`, { mask }),
  rename: (id: string, entity: number, name: string | null) =>
    json<Session>("PATCH", `${at(id)}/entities/${entity}`, { name }),
  drop: (id: string, entity: number) => json<Session>("DELETE", `${at(id)}/entities/${entity}`),
  cancel: (id: string) => json<unknown>("DELETE", `${at(id)}/ask`),

  /** The whole volume as NIfTI, coarser where it is large. */
  async volume(image: string, longest: number): Promise<ArrayBuffer> {
    return (await send(`/v1/images/${encodeURIComponent(image)}/volume.nii?longest=${longest}`)).arrayBuffer();
  },
  labels: (image: string, longest: number) =>
    json<Labels>("GET", `/v1/images/${encodeURIComponent(image)}/labels?longest=${longest}`),

  async values(image: string, plane: string, index: number): Promise<Values> {
    const query = new URLSearchParams({ index: String(index) });
    if (plane !== "image") query.set("plane", plane);
    const response = await send(`/v1/images/${encodeURIComponent(image)}/values?${query}`);
    const shape = (response.headers.get("X-Shape") ?? "").split(",").map(Number);
    const [center = 0, width = 1] = (response.headers.get("X-Window") ?? "").split(",").map(Number);
    const kind = ARRAYS[response.headers.get("X-Dtype") as keyof typeof ARRAYS];
    return {
      data: new kind(await response.arrayBuffer()),
      height: shape[0] ?? 0,
      width: shape[1] ?? 0,
      channels: shape[2] ?? 1,
      window: { center, width },
    };
  },

  /** A picture behind the token, as an address for <img>; revoke it when it is no longer shown. */
  async picture(path: string): Promise<string> {
    return URL.createObjectURL(await (await send(path)).blob());
  },

  async export(id: string, to: string): Promise<{ blob: Blob; name: string }> {
    const response = await send(`${at(id)}/export?${new URLSearchParams({ to })}`);
    const disposition = response.headers.get("Content-Disposition") ?? "";
    const name = /filename="?([^";]+)/.exec(disposition)?.[1] ?? `session.${to}`;
    return { blob: await response.blob(), name };
  },

  /** Upload one file; `progress` hears the share that has been sent, 0..1. */
  upload(file: Blob, progress: (share: number) => void, signal: AbortSignal): Promise<ImageInfo> {
    return new Promise((resolve, reject) => {
      // fetch does not tell how much it has sent.
      const request = new XMLHttpRequest();
      request.open("POST", "/v1/images");
      for (const [key, value] of Object.entries(headers())) request.setRequestHeader(key, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = (event) => progress(event.loaded / Math.max(event.total, 1));
      request.onerror = () => reject(new Away("the server does not answer"));
      request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
      request.onload = () => {
        if (request.status < 300) resolve(JSON.parse(request.responseText) as ImageInfo);
        else reject(refusal(request.status, request.responseText));
      };
      signal.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  },

  /** Ask; yields what happens until the answer is complete. */
  async *ask(id: string, query: string, signal: AbortSignal): AsyncGenerator<AskEvent> {
    const response = await send(`${at(id)}/ask`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify({ query }),
      signal,
    });
    if (!response.body) throw new Away("the answer has no body");
    for await (const [kind, data] of events(response.body, signal)) {
      const value = JSON.parse(data) as never;
      if (kind === "error") throw new Refusal(500, value);
      if (kind === "entity") yield { kind, entity: value as Entity };
      else yield { ...(value as object), kind } as AskEvent;
      if (kind === "done") return;
    }
    throw new Away("the answer broke off");
  },
};

/** Server-sent events as [event, data]. */
async function* events(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<[string, string]> {
  const reader = body.pipeThrough(new TextDecoderStream() as never).getReader();
  let rest = "";
  for (;;) {
    let part: { done: boolean; value?: string };
    try {
      part = (await reader.read()) as never;
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Away("the answer broke off");
    }
    if (part.done) return;
    rest = (rest + (part.value ?? "")).replaceAll("\r\n", "\n");
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      let kind = "message";
      const data: string[] = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) kind = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
      }
      if (data.length) yield [kind, data.join("\n")];
    }
  }
}
