/**
 * Runs factor jobs in worker threads, into one scratch file.
 */

import { type PoolOptions, WorkerPool, workerCount } from "../../engine/worker-pool.ts";
import { type FactorJob, type FactorResult, factorBytes } from "./factor-job.ts";

export interface JobRun<Job extends FactorJob> {
  /** Without their places. */
  readonly jobs: readonly Omit<Job, "place">[];
  /** What the threads run; see `serveFactorJobs`. */
  readonly module: URL;
  readonly settings: object;
  /** Path of an empty file; `undefined`: only measure. */
  readonly scratch: string | undefined;
}

export interface DoneJob<Job extends FactorJob> {
  readonly job: Job;
  readonly result: FactorResult;
}

/** The highest rank that a job may end with. */
export function highestRank({ target, outputs, inputs }: Pick<FactorJob, "target" | "outputs" | "inputs">): number {
  return target.rank ?? Math.min(outputs, inputs);
}

/** The largest scratch that the jobs can take, in bytes. */
export function scratchBytes(jobs: readonly Omit<FactorJob, "place">[]): number {
  return jobs.reduce((total, job) => total + factorBytes(job, highestRank(job)), 0);
}

/**
 * In the order of the jobs.
 *
 * @throws {NonFiniteError} naming the module
 */
export async function runFactorJobs<Job extends FactorJob>(
  { jobs, module, settings, scratch }: JobRun<Job>,
  options: PoolOptions,
): Promise<readonly DoneJob<Job>[]> {
  if (jobs.length === 0) return [];
  let offset = 0;
  const placed = jobs.map((job): Job => {
    const place = scratch === undefined ? undefined : { path: scratch, offset };
    offset += factorBytes(job, highestRank(job));
    return { ...job, place } as Job;
  });
  const results = new Map<Job, FactorResult>();
  const { signal } = options;
  const pool = new WorkerPool<Job, Record<Job["kind"], FactorResult>>({
    module,
    count: workerCount(options),
    settings,
    signal,
  });
  try {
    await pool.run(placed, ({ job, result }) => {
      results.set(job, result);
      const { size: done } = results;
      options.onProgress?.({ phase: "factor", done, total: placed.length, unit: "modules", subject: job.name });
    });
  } finally {
    await pool.close();
  }
  return placed.flatMap((job) => {
    const result = results.get(job);
    return result === undefined ? [] : [{ job, result }];
  });
}
