/**
 * A data file → the rows of a run.
 *
 * Tokenizer patterns and chat templates are programs of strangers: they run in a thread that is ended when a row takes too long
 * or memory runs out.
 */

import { Worker } from "node:worker_threads";
import { FormatError, InterruptedError, MemoryError } from "../../core/errors.ts";
import { unpackError } from "../../engine/worker-errors.ts";
import type { Sequence } from "./batch.ts";
import type { DataRequest } from "./data-reader.ts";
import type { DataSummary } from "./prepare.ts";
import type { PrepareJob, PrepareMessage } from "./worker.ts";

export interface Dataset {
  readonly sequences: readonly Sequence[];
  readonly summary: DataSummary;
}

export interface OpenDatasetOptions extends DataRequest {
  readonly signal?: AbortSignal | undefined;
  /** Longest time without a row, in milliseconds; 60,000 where it is not given. */
  readonly patienceMs?: number | undefined;
}

/** A row of 64 MB takes some 60 s on a slow machine, an ordinary one less than a millisecond. */
const PATIENCE_MS = 120_000;
/** Vocabularies of 260,000 tokens with their merges take 700 MB. */
const MAX_HEAP_MB = 3072;

/**
 * @throws {FormatError} INVALID_ROW and its like, naming file and line; NOTHING_TO_LEARN
 * @throws {MismatchError} TOKENIZER_MISMATCH
 * @throws {MemoryError} when a row, or what a template makes of it, does not fit
 */
export function openDataset({ signal, patienceMs = PATIENCE_MS, ...request }: OpenDatasetOptions): Promise<Dataset> {
  // The line, and a count that moves with every row.
  const line = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    workerData: { request, line } satisfies PrepareJob,
    // Flags of the process such as --input-type are errors in a thread that starts from a file.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const sequences: Sequence[] = [];
  const outcome = new Promise<Dataset>((resolve, reject) => {
    worker.on("message", (message: PrepareMessage) => {
      if ("rows" in message) for (const row of message.rows) sequences.push(row);
      else if ("summary" in message) resolve({ sequences, summary: message.summary });
      else reject(unpackError(message.error));
    });
    worker.on("error", (error: NodeJS.ErrnoException) => reject(asMemoryError(error, line, request)));
    worker.on("exit", (code) => reject(new Error(`the data thread ended with code ${code}`)));
    signal?.addEventListener("abort", () => reject(new InterruptedError()), { once: true });
    if (signal?.aborted) reject(new InterruptedError());
    watch(worker, line, patienceMs, () => reject(tooSlow(line, patienceMs, request)));
  });
  return outcome.finally(() => worker.terminate());
}

/** Calls `onStop` when the count has stood still for too long. */
function watch(worker: Worker, line: Int32Array, patienceMs: number, onStop: () => void): void {
  let [count, since] = [-1, performance.now()];
  const timer = setInterval(
    () => {
      const now = Atomics.load(line, 1);
      if (now !== count) [count, since] = [now, performance.now()];
      else if (performance.now() - since > patienceMs) onStop();
    },
    Math.min(1000, patienceMs / 4),
  );
  worker.once("exit", () => clearInterval(timer));
}

function tooSlow(line: Int32Array, patienceMs: number, request: DataRequest): FormatError {
  const problem = `${workOn(line)} took longer than ${patienceMs / 1000} s`;
  return new FormatError("INVALID_ROW", problem, {
    file: request.path,
    hint: "a pattern of the tokenizer or the chat template may never end: look at them, or at the row",
  });
}

function asMemoryError(error: NodeJS.ErrnoException, line: Int32Array, request: DataRequest): Error {
  if (error.code !== "ERR_WORKER_OUT_OF_MEMORY") return error;
  return new MemoryError(`${workOn(line)} took more than ${MAX_HEAP_MB} MB`, {
    file: request.path,
    cause: error,
    hint: "look at the row, the tokenizer and the chat template",
  });
}

/** Before the first row the tokenizer is read. */
function workOn(line: Int32Array): string {
  const current = Atomics.load(line, 0);
  return current === 0 ? "reading the tokenizer" : `line ${current}: preparing the row`;
}
