/**
 * Fills the staged weight files: every byte range by some worker, headers last, hashes of inputs and outputs on the way.
 */

import type { ProgressPhase, RunOptions } from "../core/progress.ts";
import { type PoolOptions, WorkerPool, workerCount } from "../engine/worker-pool.ts";
import type { HashJob, Job, TensorJob } from "./jobs.ts";
import { planJobs } from "./jobs.ts";
import type { PlacedWork } from "./output.ts";
import { type MergePlan, type PlannedTensor, tensorsOf } from "./plan.ts";
import type { TensorStats } from "./tensor-executor.ts";
import type { JobResults, WorkerSettings } from "./worker.ts";

export type MergePool = WorkerPool<Job, JobResults>;

/** Elements of a tile: 1 MB of f32, so that a tile and its copies stay in a core's second-level cache. */
const TILE_ELEMENTS = 256 * 1024;

/** From this rank on, a product is bound by arithmetic, and a tile of few rows would spend it on packing the factor. */
const LARGE_RANK = 128;
/** Rows of a tile of a large rank. */
const LARGE_RANK_ROWS = 256;

/** A pool for the steps of a plan's tensors. */
export function openPool(plan: MergePlan, options: PoolOptions): MergePool {
  const tileElements = tensorsOf(plan).reduce((most, tensor) => Math.max(most, neededElements(tensor)), TILE_ELEMENTS);
  const settings: WorkerSettings = {
    device: options.device ?? "auto",
    engine: options.engine ?? "onnxruntime",
    tileElements,
  };
  const module = new URL("./worker.js", import.meta.url);
  return new WorkerPool({ module, count: workerCount(options), settings, signal: options.signal });
}

/** A tile holds at least one whole row in the widest dtype. */
function neededElements({ view: [rows, columns], steps }: PlannedTensor): number {
  const rank = steps.reduce((most, step) => Math.max(most, step.kind === "low-rank" ? step.left.columns : 0), 0);
  return columns * Math.max(2, rank < LARGE_RANK ? 0 : Math.min(rows, LARGE_RANK_ROWS));
}

/** What the work on a plan's tensors found out. */
export interface Executed {
  /** Of each tensor that was not only copied. */
  readonly stats: Map<string, TensorStats>;
  /** SHA-256 of the `hashed` files, in hexadecimal, by path. */
  readonly hashes: Map<string, string>;
}

interface SizedFile {
  readonly path: string;
  readonly size: number;
}

/** Writes all placed tensors and copies, and hashes files on the way: hashing keeps a core busy while another reads. */
export async function fillTensors(
  pool: MergePool,
  work: PlacedWork,
  hashed: readonly SizedFile[],
  options: RunOptions,
): Promise<Executed> {
  const jobs = [...hashJobs(hashed), ...planJobs(work)];
  return runJobs(pool, jobs, "merge", options);
}

/** SHA-256 of whole files, in hexadecimal, by path. */
export async function hashFiles(
  pool: MergePool,
  files: readonly SizedFile[],
  options: RunOptions,
): Promise<Map<string, string>> {
  return (await runJobs(pool, hashJobs(files), "hash", options)).hashes;
}

/** Largest first: a long job that starts last keeps the others waiting. */
function hashJobs(files: readonly SizedFile[]): HashJob[] {
  const sorted = [...files].sort((a, b) => b.size - a.size);
  return sorted.map(({ path, size }) => ({ kind: "hash", path, byteLength: size }));
}

async function runJobs(
  pool: MergePool,
  jobs: readonly Job[],
  phase: ProgressPhase,
  options: RunOptions,
): Promise<Executed> {
  const executed: Executed = { stats: new Map(), hashes: new Map() };
  const total = jobs.reduce((sum, job) => sum + jobBytes(job), 0);
  let done = 0;
  await pool.run(jobs, ({ kind, job, result }) => {
    done += jobBytes(job);
    if (kind === "tensor") addStats(executed.stats, job, result);
    if (kind === "hash") executed.hashes.set(job.path, result);
    const subject = kind === "tensor" ? job.name : kind === "copy" ? job.subject : kind === "hash" ? job.path : "";
    options.onProgress?.({ phase, done, total, unit: "bytes", subject });
  });
  return executed;
}

function jobBytes(job: Job): number {
  if (job.kind === "copy" || job.kind === "hash") return job.byteLength;
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
