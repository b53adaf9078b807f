/**
 * One worker thread that decomposes differences: its quick products run on the device, its exact ones on the processor.
 */

import { workerData } from "node:worker_threads";
import { serveFactorJobs } from "../../adapters/low-rank/serve-factor-jobs.ts";
import type { DeviceName } from "../../engine/device.ts";
import { openEngine } from "../../engine/engine.ts";
import { type Gemm, openGemm } from "../../engine/gemm.ts";
import { type DifferenceJob, runDifference } from "./difference-job.ts";

export interface DifferenceSettings {
  readonly device: DeviceName;
}

const { device } = workerData as DifferenceSettings;
let fast: Promise<Gemm> | undefined;

serveFactorJobs<DifferenceJob>(async (job, tools, write) => {
  fast ??= device === "auto" || device === "cpu" ? Promise.resolve(tools.gemm) : openFast();
  return runDifference(job, tools, write, { fast: await fast, exact: tools.gemm });
});

async function openFast(): Promise<Gemm> {
  return openGemm(await openEngine({ device, threads: 1 }));
}
