/**
 * The inside of a thread that runs factor jobs: an f64 engine on the processor, cast kernels, and the scratch files.
 */

import { workerData } from "node:worker_threads";
import { createKernels, type Kernels } from "../../core/cast/kernels.ts";
import { openEngine } from "../../engine/engine.ts";
import { type Gemm, openGemm } from "../../engine/gemm.ts";
import { checkStop, serveJobs } from "../../engine/serve-jobs.ts";
import type { StopSignal } from "../../engine/worker-pool.ts";
import { openForWriteSync, writeAllSync } from "../../formats/write-file.ts";
import { MatrixLoader } from "../load-matrix.ts";
import type { FactorJob, FactorResult } from "./factor-job.ts";

export interface FactorTools {
  /** On the processor: no other device has f64 everywhere. */
  readonly gemm: Gemm;
  readonly kernels: Kernels;
  readonly loader: MatrixLoader;
  /** Called between the steps of a job; may throw to end it. */
  readonly checkpoint: () => void;
}

/** Takes bytes at an offset from the start of what the job writes. */
export type WriteBytes = (bytes: Uint8Array, offset: number) => void;

/** @param run `write` is `undefined` where nothing is to be written */
export function serveFactorJobs<Job extends FactorJob>(
  run: (job: Job, tools: FactorTools, write: WriteBytes | undefined) => Promise<FactorResult>,
): void {
  const outputs = new Map<string, number>();
  let tools: Promise<FactorTools> | undefined;
  serveJobs(async (job: Job) => {
    tools ??= openTools();
    const { place } = job;
    if (place === undefined) return run(job, await tools, undefined);
    const { path, offset } = place;
    const output = outputs.get(path) ?? openForWriteSync(path);
    outputs.set(path, output);
    return run(job, await tools, (bytes, position) => writeAllSync(output, bytes, offset + position, path));
  });
}

async function openTools(): Promise<FactorTools> {
  const engine = await openEngine({ device: "cpu", threads: 1 });
  const kernels = createKernels();
  const stop = workerData as StopSignal;
  return { gemm: openGemm(engine), kernels, loader: new MatrixLoader(kernels), checkpoint: () => checkStop(stop) };
}
