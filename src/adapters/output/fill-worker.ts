/**
 * One worker thread that writes tensors into a staged file at their offsets.
 */

import { workerData } from "node:worker_threads";
import { checkStop, serveJobs } from "../../engine/serve-jobs.ts";
import type { StopSignal } from "../../engine/worker-pool.ts";
import { openForWriteSync } from "../../formats/write-file.ts";
import type { Rounding } from "./multiply.ts";
import { TensorPieces } from "./tensor-pieces.ts";
import { writePlacedTo } from "./write-placed.ts";
import type { FillJob } from "./write-weights.ts";

const stop = workerData as StopSignal;
const outputs = new Map<string, number>();
const pieces = new TensorPieces();

serveJobs(async (job: FillJob): Promise<ReadonlyMap<string, Rounding>> => {
  const output = outputs.get(job.path) ?? openForWriteSync(job.path);
  outputs.set(job.path, output);
  writePlacedTo(output, job, pieces, () => checkStop(stop));
  const names = new Set(job.entries.map(({ tensor }) => tensor.name));
  return new Map([...pieces.roundings].filter(([name]) => names.has(name)));
});
