/**
 * The inside of a worker thread: jobs come in, answers or packed errors go out.
 */

import { parentPort } from "node:worker_threads";
import { InterruptedError } from "../core/errors.ts";
import { packError } from "./worker-errors.ts";
import type { StopSignal } from "./worker-pool.ts";

/** Answers every job that comes in with what `run` makes of it. */
export function serveJobs<Job>(run: (job: Job) => Promise<unknown>): void {
  parentPort?.on("message", (job: Job) => {
    run(job).then(
      (result) => parentPort?.postMessage({ result }),
      (error: unknown) => parentPort?.postMessage({ error: packError(error) }),
    );
  });
}

/** @throws {InterruptedError} when the pool has asked to stop */
export function checkStop({ stop }: StopSignal): void {
  if (Atomics.load(stop, 0) !== 0) throw new InterruptedError();
}
