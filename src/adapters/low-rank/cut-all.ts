/**
 * Cuts the deltas of many modules in worker threads, into one scratch file.
 */

import { type PoolOptions, WorkerPool, workerCount } from "../../engine/worker-pool.ts";
import { type CutAnswers, type CutJob, type CutResult, cutBytes, highestRank } from "./cut-job.ts";

/** A job without its place. */
export type Cut = Omit<CutJob, "kind" | "place">;

export interface CutModule {
  readonly job: CutJob;
  readonly result: CutResult;
}

/** The largest scratch that the cuts can take, in bytes. */
export function scratchBytes(cuts: readonly Cut[]): number {
  return cuts.reduce((total, cut) => total + cutBytes(cut, highestRank(cut)), 0);
}

/**
 * In the order of the cuts.
 *
 * @param scratch path of an empty file; `undefined`: only measure
 * @throws {NonFiniteError} naming the module
 */
export async function cutAll(
  cuts: readonly Cut[],
  scratch: string | undefined,
  options: PoolOptions,
): Promise<readonly CutModule[]> {
  let offset = 0;
  const jobs = cuts.map((cut): CutJob => {
    const place = scratch === undefined ? undefined : { path: scratch, offset };
    offset += cutBytes(cut, highestRank(cut));
    return { kind: "cut", ...cut, place };
  });
  const results = new Map<CutJob, CutResult>();
  const pool = new WorkerPool<CutJob, CutAnswers>({
    module: new URL("./cut-worker.js", import.meta.url),
    count: workerCount({ ...options, device: "cpu" }),
    settings: {},
    signal: options.signal,
  });
  try {
    await pool.run(jobs, ({ job, result }) => {
      results.set(job, result);
      const { size } = results;
      options.onProgress?.({ phase: "factor", done: size, total: jobs.length, unit: "modules", subject: job.name });
    });
  } finally {
    await pool.close();
  }
  return jobs.flatMap((job) => {
    const result = results.get(job);
    return result === undefined ? [] : [{ job, result }];
  });
}
