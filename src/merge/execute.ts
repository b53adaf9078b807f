/**
 * Fills the staged weight files: every byte range by some worker, headers last, hashes of inputs and outputs on the way.
 */

import type { RunOptions } from "../core/progress.ts";
import type { DeviceName } from "../engine/device.ts";
import type { Job, TensorJob } from "./jobs.ts";
import { planJobs } from "./jobs.ts";
import type { PlacedTensor } from "./output-layout.ts";
import type { MergePlan } from "./plan.ts";
import type { TensorStats } from "./tensor-executor.ts";
import { defaultWorkers, WorkerPool } from "./worker-pool.ts";

/** Elements of a tile: 1 MB of f32, so that a tile and its copies stay in a core's second-level cache. */
const TILE_ELEMENTS = 256 * 1024;

export interface PoolOptions extends RunOptions {
  readonly workers?: number | undefined;
  readonly device?: DeviceName | undefined;
}

/** A pool whose tiles hold the longest row of the plan's tensors. */
export function openPool(plan: MergePlan, options: PoolOptions): WorkerPool {
  const tensors = plan.files.flatMap((file) => file.tensors);
  const longest = tensors.reduce((most, tensor) => Math.max(most, tensor.view[1]), 1);
  const settings = { device: options.device ?? "auto", tileElements: Math.max(TILE_ELEMENTS, 2 * longest) };
  return new WorkerPool(options.workers ?? defaultWorkers(), settings, options.signal);
}

/** Writes the data of all placed tensors and returns what happened to each that was not only copied. */
export async function fillTensors(
  pool: WorkerPool,
  tensors: readonly PlacedTensor[],
  pathOf: (file: string) => string,
  options: RunOptions,
): Promise<Map<string, TensorStats>> {
  const jobs = planJobs(tensors, pathOf);
  const total = jobs.reduce((sum, job) => sum + jobBytes(job), 0);
  const stats = new Map<string, TensorStats>();
  let done = 0;
  await pool.run(jobs, ({ kind, job, result }) => {
    done += jobBytes(job);
    if (kind === "tensor") addStats(stats, job, result);
    const subject = kind === "tensor" ? job.name : kind === "copy" ? job.subject : "";
    options.onProgress?.({ phase: "merge", done, total, unit: "bytes", subject });
  });
  return stats;
}

/** SHA-256 of whole files, in hexadecimal, by path. */
export async function hashFiles(
  pool: WorkerPool,
  files: readonly { readonly path: string; readonly size: number }[],
  options: RunOptions,
): Promise<Map<string, string>> {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const hashes = new Map<string, string>();
  let done = 0;
  await pool.run(
    files.map(({ path, size }) => ({ kind: "hash" as const, path, byteLength: size })),
    ({ kind, job, result }) => {
      if (kind !== "hash") return;
      done += job.byteLength;
      hashes.set(job.path, result);
      options.onProgress?.({ phase: "hash", done, total, unit: "bytes", subject: job.path });
    },
  );
  return hashes;
}

function jobBytes(job: Job): number {
  if (job.kind === "copy") return job.byteLength;
  if (job.kind !== "tensor") return 0;
  return Math.round((job.byteLength * (job.rowEnd - job.rowStart)) / job.rows);
}

function addStats(stats: Map<string, TensorStats>, job: TensorJob, result: TensorStats): void {
  const sum = stats.get(job.name) ?? { elements: 0, changed: 0, lost: 0 };
  stats.set(job.name, {
    elements: sum.elements + result.elements,
    changed: sum.changed + result.changed,
    lost: sum.lost + result.lost,
  });
}

