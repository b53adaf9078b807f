/**
 * Frees the copies that onnxruntime-node makes of outputs that were written in place.
 *
 * V8 lets 64 MB of such buffers pile up in each thread before it looks, and every fresh one costs page faults: a young
 * collection every few megabytes is a fraction of a millisecond, and took a merge's products from 5.4 to 3.5 ms a tile.
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Garbage that may lie about, in bytes: what stays in a processor's caches anyway. */
const TOLERATED_BYTES = 8 * 1024 * 1024;

type CollectGarbage = (options: { readonly type: "minor" }) => void;

let collect: CollectGarbage | undefined;
let garbageBytes = 0;

/** Counts bytes that nothing refers to any more, and has them freed from time to time. */
export function discardBytes(bytes: number): void {
  garbageBytes += bytes;
  if (garbageBytes < TOLERATED_BYTES) return;
  garbageBytes = 0;
  collect ??= exposeCollector();
  collect({ type: "minor" });
}

/** V8 hands its collector to contexts that are made after the flag was set. */
function exposeCollector(): CollectGarbage {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as CollectGarbage;
}
