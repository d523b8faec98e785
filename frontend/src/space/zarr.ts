// In place of zarrita: volumes come from this program's server as NIfTI, never as Zarr, and the
// decompressors for it would be twice the size of the page.

function missing(): never {
  throw new Error("this page reads no Zarr");
}

export class FetchStore {
  constructor() {
    missing();
  }
}

export const root = missing;
export const open = missing;
export const get = missing;
export const slice = missing;
