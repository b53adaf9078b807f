/**
 * A data file → the rows of a run.
 *
 * Patterns of tokenizers and chat templates are programs of strangers, and those of either kind can be made to run for ever or to
 * fill any memory. They run in a process of their own: a thread that fills its heap takes the whole process with it.
 */

import { type ChildProcess, fork } from "node:child_process";
import { FormatError, InterruptedError, MemoryError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import { unpackError } from "../../engine/worker-errors.ts";
import type { Sequence } from "./batch.ts";
import type { DataRequest } from "./data-reader.ts";
import type { DataSummary, Work } from "./prepare.ts";
import type { DataMessage } from "./process.ts";
import { unpackRowGroup } from "./row-group.ts";

export interface Dataset {
  readonly sequences: readonly Sequence[];
  readonly summary: DataSummary;
}

export interface OpenDatasetOptions extends DataRequest, RunOptions {
  /** Longest time without a sign of work, in milliseconds; 120,000 where it is not given: a row may take 64 MB. */
  readonly patienceMs?: number | undefined;
  /** Memory for objects and texts; 3072 where it is not given: a vocabulary of 260,000 with its merges takes 700 MB. */
  readonly maxHeapMb?: number | undefined;
}

/** What is known of the process while it works. */
interface Watch {
  /** 0 before the first row, while the tokenizer is read. */
  line: number;
  lastSign: number;
}

/**
 * @throws {FormatError} INVALID_ROW and its like, naming file and line; NOTHING_TO_LEARN
 * @throws {MismatchError} TOKENIZER_MISMATCH
 * @throws {MemoryError} when a row, or what a template makes of it, does not fit
 */
export async function openDataset(options: OpenDatasetOptions): Promise<Dataset> {
  const { signal, onProgress, patienceMs = 120_000, maxHeapMb = 3072, ...request } = options;
  if (signal?.aborted) throw new InterruptedError();
  const child = fork(new URL("./process.js", import.meta.url), {
    // Flags of this process, such as --input-type, are not for it.
    execArgv: [`--max-old-space-size=${maxHeapMb}`],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const stop = new AbortController();
  const watch: Watch = { line: 0, lastSign: performance.now() };
  const onWork = ({ line, done, total }: Work) => {
    watch.line = line;
    onProgress?.({ phase: "data", done, total, unit: "bytes" });
  };
  try {
    return await Promise.race([
      collect(child, request, watch, onWork),
      impatience(watch, patienceMs, request.path, stop.signal),
      interruption(signal, stop.signal),
    ]);
  } finally {
    stop.abort();
    child.kill("SIGKILL");
  }
}

/** All that the process sends until it ends. */
function collect(
  child: ChildProcess,
  request: DataRequest,
  watch: Watch,
  onWork: (work: Work) => void,
): Promise<Dataset> {
  const sequences: Sequence[] = [];
  return new Promise((resolve, reject) => {
    child.on("message", (message: DataMessage) => {
      watch.lastSign = performance.now();
      switch (message.kind) {
        case "work":
          onWork(message.work);
          return;
        case "rows":
          for (const row of unpackRowGroup(message.group)) sequences.push(row);
          return;
        case "summary":
          resolve({ sequences, summary: message.summary });
          return;
        case "error":
          reject(unpackError(message.error));
      }
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => reject(deathOf(code, signal, watch, request.path)));
    child.send(request);
  });
}

/** Rejects when the process has given no sign of work for too long. */
function impatience(watch: Watch, patienceMs: number, file: string, stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const look = () => {
      if (performance.now() - watch.lastSign < patienceMs) return;
      const problem = `${workOf(watch)} took longer than ${patienceMs / 1000} s`;
      const hint = "a pattern of the tokenizer or the chat template may never end: look at them, or at the row";
      reject(new FormatError("INVALID_ROW", problem, { file, hint }));
    };
    const timer = setInterval(look, Math.min(1000, patienceMs / 4));
    stop.addEventListener("abort", () => clearInterval(timer), { once: true });
  });
}

function interruption(signal: AbortSignal | undefined, stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(new InterruptedError()), { once: true, signal: stop });
  });
}

/** V8 aborts the process when the heap is full; a terminal's Ctrl-C reaches it as well as its parent. */
function deathOf(code: number | null, signal: NodeJS.Signals | null, watch: Watch, file: string): Error {
  if (signal === "SIGINT" || signal === "SIGTERM" || signal === "SIGHUP") return new InterruptedError();
  const [problem, hint] = [
    `${workOf(watch)} took too much memory`,
    "look at the row, the tokenizer and the chat template",
  ];
  const isMemory =
    signal === "SIGABRT" || signal === "SIGTRAP" || signal === "SIGILL" || signal === "SIGKILL" || code === 134;
  if (isMemory) return new MemoryError(problem, { file, hint });
  return new Error(`the process that prepares data ended with ${signal ?? `code ${code}`}`);
}

function workOf({ line }: Watch): string {
  return line === 0 ? "reading the tokenizer" : `line ${line}: preparing the row`;
}
