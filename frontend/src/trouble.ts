// What happens when the server refuses, wants a token, or is away.

import { api, Away, Refusal } from "./api";
import { note, now, update } from "./store";

let reconnecting = false;
let returned: () => Promise<void> = async () => undefined;

/** Who takes up the work when the server is back. */
export function onReturn(take: () => Promise<void>): void {
  returned = take;
}

/** Do it; trouble is shown to the person. True when it was done. */
export async function attempt(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    report(error);
    return false;
  }
}

export function report(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  if (error instanceof Refusal) {
    if (error.status === 401) update({ connection: "locked" });
    else if (error.body.type === "Cancelled") note("Cancelled. Nothing was changed.");
    else note(error.message, "error");
  } else if (error instanceof Away) {
    void reconnect();
  } else {
    console.error(error);
    note(`The page failed: ${String(error)}`, "error");
  }
}

/** Try again and again, each time a little later; "Try now" calls this too. */
export async function reconnect(): Promise<void> {
  if (now().connection !== "locked") update({ connection: "away" });
  if (reconnecting) return;
  reconnecting = true;
  for (let pause = 500; ; pause = Math.min(pause * 1.6, 5_000)) {
    if (await api.healthy().catch(() => false)) break;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  reconnecting = false;
  update({ connection: "ok" });
  note("The server is back.");
  await attempt(returned);
}

/** Notice a server that went away while nobody asked anything. */
export function watchServer(): void {
  setInterval(() => {
    if (document.hidden || now().connection !== "ok" || now().asking) return;
    api.healthy().then(
      (well) => well || void reconnect(),
      () => void reconnect(),
    );
  }, 5_000);
}
