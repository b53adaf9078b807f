/**
 * Worker threads that take jobs one at a time. The first failure of any of them ends all, and so does the caller's signal.
 */

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { InterruptedError, MemoryError, UsageError } from "../core/errors.ts";
import { type OptionKinds, RUN_OPTION_KINDS } from "../core/option-kinds.ts";
import type { RunOptions } from "../core/progress.ts";
import { DEVICES, type DeviceName, ENGINES, type EngineName } from "./device.ts";
import { disableTelemetry } from "./telemetry.ts";
import { type PackedError, unpackError } from "./worker-errors.ts";

/** More threads than this wait for the disk, and each holds a tile. */
const MAX_DEFAULT_WORKERS = 8;

export interface PoolOptions extends RunOptions {
  /** Threads; default one a core, at most 8. */
  readonly workers?: number | undefined;
  /** Where the products are computed; default `auto`. */
  readonly device?: DeviceName | undefined;
  /** What computes them; default `onnxruntime`. */
  readonly engine?: EngineName | undefined;
}

/** What each of them may hold, before its range is looked at. */
export const POOL_OPTION_KINDS = {
  ...RUN_OPTION_KINDS,
  workers: "a number",
  device: Object.keys(DEVICES),
  engine: Object.keys(ENGINES),
} as const satisfies OptionKinds<PoolOptions>;

/**
 * Threads for a pool whose engines run on the device: a GPU serves one session of a process, and TensorFlow.js may take one.
 *
 * @throws {UsageError} for a number that is no count
 */
export function workerCount({ device = "auto", engine, workers = defaultWorkers() }: PoolOptions): number {
  if (!Number.isSafeInteger(workers) || workers < 1) {
    throw new UsageError(`expected a whole number of workers of at least 1, got ${workers}`);
  }
  return (device === "auto" || device === "cpu") && engine !== "tfjs" ? workers : 1;
}

/** One worker a core, up to a number that a disk can feed. */
function defaultWorkers(): number {
  return Math.min(availableParallelism(), MAX_DEFAULT_WORKERS);
}

/** Work for a thread, as plain data. */
interface AnyJob {
  readonly kind: string;
}

/** What each kind of job answers, by kind. */
type AnswersOf<Job extends AnyJob> = { readonly [Kind in Job["kind"]]: unknown };

/** A job with the answer of its kind. */
export type JobDone<Job extends AnyJob, Answers extends AnswersOf<Job>> = {
  [Kind in Job["kind"]]: {
    readonly kind: Kind;
    readonly job: Extract<Job, { kind: Kind }>;
    readonly result: Answers[Kind];
  };
}[Job["kind"]];

/** What every thread is started with, besides its own settings. */
export interface StopSignal {
  /** Of shared memory: not 0 asks the thread to stop at the next checkpoint. */
  readonly stop: Int32Array;
}

/** How long a thread may take to reach its next tile before it is ended where it is. */
const GRACE_MS = 1500;

export interface PoolSettings {
  /** The module that the threads run; see `serveJobs`. */
  readonly module: URL;
  readonly count: number;
  /** Handed to each thread as its `workerData`. */
  readonly settings: object;
  readonly signal: AbortSignal | undefined;
}

export class WorkerPool<Job extends AnyJob, Answers extends AnswersOf<Job>> {
  readonly #workers: Worker[] = [];
  /** What each thread has been given; settles when it has answered or ended. */
  readonly #answers = new Map<Worker, Promise<unknown>>();
  /** A thread that has ended answers nothing, so nothing may wait for it. */
  readonly #ended = new WeakSet<Worker>();
  readonly #settings: StopSignal;
  readonly #module: URL;
  readonly #count: number;
  readonly #signal: AbortSignal | undefined;

  constructor({ module, count, settings, signal }: PoolSettings) {
    this.#module = module;
    this.#count = count;
    this.#settings = { ...settings, stop: new Int32Array(new SharedArrayBuffer(4)) };
    this.#signal = signal;
  }

  /** Runs all jobs, in any order; `onResult` hears of each as it ends. */
  async run(jobs: readonly Job[], onResult: (done: JobDone<Job, Answers>) => void): Promise<void> {
    const queue = jobs.values();
    while (this.#workers.length < Math.min(this.#count, jobs.length)) this.#workers.push(this.#start());
    let failed = false;
    const lanes = this.#workers.map(async (worker) => {
      for (const job of queue) {
        if (failed) return;
        onResult({ kind: job.kind, job, result: await this.#send(worker, job) } as JobDone<Job, Answers>);
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

  /** Ends all threads, each between two tiles: one that is ended inside the engine would take the process with it. */
  async close(): Promise<void> {
    const workers = this.#workers.splice(0);
    Atomics.store(this.#settings.stop, 0, 1);
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, GRACE_MS);
    });
    await Promise.race([Promise.all(this.#answers.values()), grace]);
    clearTimeout(timer);
    await Promise.all(workers.map((worker) => worker.terminate()));
    Atomics.store(this.#settings.stop, 0, 0);
  }

  #start(): Worker {
    disableTelemetry();
    // Flags of the process such as --input-type are errors in a thread that starts from a file.
    const options = { workerData: this.#settings, execArgv: [] };
    const worker = new Worker(this.#module, options);
    worker.setMaxListeners(0);
    // Listeners of the job in flight report it; without one it would be an uncaught exception.
    worker.on("error", () => {});
    worker.once("exit", () => this.#ended.add(worker));
    return worker;
  }

  /** The answer of one thread, or an `InterruptedError` as soon as the caller's signal comes. */
  async #send(worker: Worker, job: Job): Promise<Answers[Job["kind"]]> {
    const signal = this.#signal;
    if (signal?.aborted) throw new InterruptedError();
    const answer = this.#ask(worker, job);
    this.#answers.set(
      worker,
      answer.catch(() => {}),
    );
    if (signal === undefined) return answer;
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(new InterruptedError());
      signal.addEventListener("abort", onAbort, { once: true });
      const settle = () => signal.removeEventListener("abort", onAbort);
      answer.then(resolve, reject).finally(settle);
    });
  }

  #ask(worker: Worker, job: Job): Promise<Answers[Job["kind"]]> {
    if (this.#ended.has(worker)) return Promise.reject(new Error("a worker thread ended between two jobs"));
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        worker.off("message", onMessage);
        worker.off("error", onError);
        worker.off("exit", onExit);
        act();
      };
      const onMessage = (message: { result: Answers[Job["kind"]]; error?: PackedError }) => {
        const { error } = message;
        settle(() => (error === undefined ? resolve(message.result) : reject(unpackError(error))));
      };
      const onError = (error: NodeJS.ErrnoException) => settle(() => reject(asMemoryError(error)));
      const onExit = (code: number) => settle(() => reject(new Error(`a worker thread ended with code ${code}`)));
      worker.on("message", onMessage);
      worker.on("error", onError);
      worker.on("exit", onExit);
      worker.postMessage(job);
    });
  }
}

function asMemoryError(error: NodeJS.ErrnoException): Error {
  if (error.code !== "ERR_WORKER_OUT_OF_MEMORY") return error;
  return new MemoryError("a worker thread ran out of memory", { cause: error, hint: "use fewer --workers" });
}
