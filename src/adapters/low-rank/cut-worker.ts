/**
 * One worker thread that cuts products to a lower rank: an engine session in f64 and cast kernels of its own.
 */

import { workerData } from "node:worker_threads";
import { createKernels } from "../../core/cast/kernels.ts";
import { openEngine } from "../../engine/engine.ts";
import { openGemm } from "../../engine/gemm.ts";
import { checkStop, serveJobs } from "../../engine/serve-jobs.ts";
import type { StopSignal } from "../../engine/worker-pool.ts";
import { openForWriteSync, writeAllSync } from "../../formats/write-file.ts";
import { MatrixLoader } from "../load-matrix.ts";
import { type CutTools, runCut } from "./cut.ts";
import type { CutJob } from "./cut-job.ts";

const stop = workerData as StopSignal;
const outputs = new Map<string, number>();
let tools: Promise<CutTools> | undefined;

serveJobs(async (job: CutJob) => {
  tools ??= openTools();
  const { place } = job;
  if (place === undefined) return runCut(job, await tools, undefined);
  const output = outputs.get(place.path) ?? openForWriteSync(place.path);
  outputs.set(place.path, output);
  return runCut(job, await tools, (bytes, offset) => writeAllSync(output, bytes, place.offset + offset, place.path));
});

/** The processor: no other device has f64 everywhere. */
async function openTools(): Promise<CutTools> {
  const engine = await openEngine({ device: "cpu", threads: 1 });
  const kernels = createKernels();
  return { gemm: openGemm(engine), kernels, loader: new MatrixLoader(kernels), checkpoint: () => checkStop(stop) };
}
