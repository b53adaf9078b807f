/**
 * Worker threads that take jobs one at a time. The first failure of any of them ends all, and so does the caller's signal.
 */

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { InterruptedError, MemoryError } from "../core/errors.ts";
import { disableTelemetry } from "../engine/telemetry.ts";
import type { Job } from "./jobs.ts";
import type { JobResults, WorkerSettings } from "./worker.ts";
import { type PackedError, unpackError } from "./worker-errors.ts";

/** More threads than this wait for the disk, and each holds a tile. */
const MAX_DEFAULT_WORKERS = 8;

/** One worker a core, up to a number that a disk can feed. */
export function defaultWorkers(): number {
  return Math.min(availableParallelism(), MAX_DEFAULT_WORKERS);
}

/** A job with the answer of its kind. */
export type JobDone = {
  [Kind in Job["kind"]]: {
    readonly kind: Kind;
    readonly job: Extract<Job, { kind: Kind }>;
    readonly result: JobResults[Kind];
  };
}[Job["kind"]];

type OnJobResult = (done: JobDone) => void;

export class WorkerPool {
  readonly #workers: Worker[] = [];
  /** A thread that has ended answers nothing, so nothing may wait for it. */
  readonly #ended = new WeakSet<Worker>();
  readonly #settings: WorkerSettings;
  readonly #count: number;
  readonly #signal: AbortSignal | undefined;

  constructor(count: number, settings: WorkerSettings, signal: AbortSignal | undefined) {
    this.#count = count;
    this.#settings = settings;
    this.#signal = signal;
  }

  /** Runs all jobs, in any order; `onResult` hears of each as it ends. */
  async run(jobs: readonly Job[], onResult: OnJobResult): Promise<void> {
    const queue = jobs.values();
    while (this.#workers.length < Math.min(this.#count, jobs.length)) this.#workers.push(this.#start());
    let failed = false;
    const lanes = this.#workers.map(async (worker) => {
      for (const job of queue) {
        if (failed) return;
        onResult({ kind: job.kind, job, result: await this.#send(worker, job) } as JobDone);
      }
    });
    try {
      await Promise.all(lanes);
    } catch (error) {
      failed = true;
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
  }

  #start(): Worker {
    disableTelemetry();
    const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: this.#settings });
    worker.setMaxListeners(0);
    // Listeners of the job in flight report it; without one it would be an uncaught exception.
    worker.on("error", () => {});
    worker.once("exit", () => this.#ended.add(worker));
    return worker;
  }

  #send(worker: Worker, job: Job): Promise<JobResults[Job["kind"]]> {
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        worker.off("message", onMessage);
        worker.off("error", onError);
        worker.off("exit", onExit);
        signal?.removeEventListener("abort", onAbort);
        act();
      };
      const onMessage = (message: { result: JobResults[Job["kind"]]; error?: PackedError }) => {
        const { error } = message;
        settle(() => (error === undefined ? resolve(message.result) : reject(unpackError(error))));
      };
      const onError = (error: NodeJS.ErrnoException) => settle(() => reject(asMemoryError(error)));
      const onExit = (code: number) => settle(() => reject(new Error(`a worker thread ended with code ${code}`)));
      const onAbort = () => settle(() => reject(new InterruptedError()));
      worker.on("message", onMessage);
      worker.on("error", onError);
      worker.on("exit", onExit);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted) onAbort();
      else if (this.#ended.has(worker)) settle(() => reject(new Error("a worker thread ended between two jobs")));
      else worker.postMessage(job);
    });
  }
}

function asMemoryError(error: NodeJS.ErrnoException): Error {
  if (error.code !== "ERR_WORKER_OUT_OF_MEMORY") return error;
  return new MemoryError("a worker thread ran out of memory", { cause: error, hint: "use fewer --workers" });
}
