/**
 * One worker thread that writes tensors into a staged file at their offsets.
 */

import { workerData } from "node:worker_threads";
import { checkStop, serveJobs } from "../../engine/serve-jobs.ts";
import type { StopSignal } from "../../engine/worker-pool.ts";
import { openForWriteSync, writeAllSync } from "../../formats/write-file.ts";
import type { Rounding } from "./multiply.ts";
import { TensorPieces } from "./tensor-pieces.ts";
import type { FillJob } from "./write-weights.ts";

const stop = workerData as StopSignal;
const outputs = new Map<string, number>();
const pieces = new TensorPieces();

serveJobs(async ({ path, entries }: FillJob): Promise<ReadonlyMap<string, Rounding>> => {
  const output = outputs.get(path) ?? openForWriteSync(path);
  outputs.set(path, output);
  for (const { tensor, offset } of entries) {
    let position = offset;
    for (const piece of pieces.of(tensor)) {
      checkStop(stop);
      writeAllSync(output, piece, position, path);
      position += piece.byteLength;
    }
  }
  const names = new Set(entries.map(({ tensor }) => tensor.name));
  return new Map([...pieces.roundings].filter(([name]) => names.has(name)));
});
