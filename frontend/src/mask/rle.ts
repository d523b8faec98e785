// COCO's compressed run-length code: runs down the columns, outside first; from the third run on
// differences to the run two before, in signed base 32 with six-bit characters from "0".

import type { Rle } from "../protocol";
import { Mask } from "./mask";

export function decode(code: Rle): Mask {
  const [height, width] = code.size;
  const mask = new Mask(height, width);
  const runs: number[] = [];
  for (let at = 0; at < code.counts.length; ) {
    let value = 0;
    let shift = 0;
    for (;;) {
      const six = code.counts.charCodeAt(at++) - 48;
      value |= (six & 0x1f) << shift;
      shift += 5;
      if (!(six & 0x20)) {
        if (six & 0x10 && shift < 32) value |= -1 << shift;
        break;
      }
    }
    runs.push(runs.length > 2 ? value + (runs[runs.length - 2] ?? 0) : value);
  }
  let index = 0;
  runs.forEach((run, number) => {
    if (number % 2) {
      for (let i = index; i < index + run; i++) {
        mask.data[(i % height) * width + Math.floor(i / height)] = 1;
      }
    }
    index += run;
  });
  return mask;
}

export function encode(mask: Mask): Rle {
  const { height, width, data } = mask;
  const runs: number[] = [];
  let inside = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (data[y * width + x] === inside) run++;
      else {
        runs.push(run);
        run = 1;
        inside ^= 1;
      }
    }
  }
  runs.push(run);
  let counts = "";
  runs.forEach((each, number) => {
    let value = number > 2 ? each - (runs[number - 2] ?? 0) : each;
    for (let more = true; more; ) {
      let six = value & 0x1f;
      value >>= 5;
      more = six & 0x10 ? value !== -1 : value !== 0;
      if (more) six |= 0x20;
      counts += String.fromCharCode(six + 48);
    }
  });
  return { size: [height, width], counts };
}
