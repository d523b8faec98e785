// Slices that have been fetched, and their neighbours before anybody asks.

import { api } from "../api";
import { Picture } from "./picture";

const KEPT = 96;

const pictures = new Map<string, Promise<Picture>>();

/** The slice; kept in memory, the least recently used leave first. */
export function slice(image: string, plane: string, index: number): Promise<Picture> {
  const key = `${image}/${plane}/${index}`;
  const known = pictures.get(key);
  const found = known ?? api.values(image, plane, index).then((values) => new Picture(values));
  pictures.delete(key);
  pictures.set(key, found);
  if (!known) found.catch(() => pictures.delete(key));
  for (const oldest of pictures.keys()) {
    if (pictures.size <= KEPT) break;
    pictures.delete(oldest);
  }
  return found;
}

/** Fetch what a next turn of the wheel will want; failures wait for that turn. */
export function prefetch(image: string, plane: string, index: number, count: number): void {
  for (const near of [index + 1, index - 1, index + 2, index - 2]) {
    if (near >= 0 && near < count) slice(image, plane, near).catch(() => undefined);
  }
}
