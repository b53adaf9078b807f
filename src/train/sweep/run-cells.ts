/**
 * Trains cells in processes of their own, some at a time. The first failure ends all, and so does the caller's signal: each
 * process saves a checkpoint before it goes.
 */

import { type ChildProcess, fork } from "node:child_process";
import { InterruptedError } from "../../core/errors.ts";
import { escapeText } from "../../core/text.ts";
import { unpackError } from "../../engine/worker-errors.ts";
import type { CellJob, CellMessage } from "./cell-process.ts";

export interface CellRun {
  readonly name: string;
  readonly job: CellJob;
}

export interface RunCellsOptions {
  readonly jobs: number;
  readonly signal: AbortSignal | undefined;
  /** Steps that a cell has done so far. */
  readonly onStep: (name: string, done: number) => void;
  readonly onDone: (name: string, warnings: readonly string[]) => void;
}

const MODULE = new URL("./cell-process.js", import.meta.url);

/** Characters of a process' last words that an error repeats. */
const MAX_LAST_WORDS = 2000;

export async function runCells(
  cells: readonly CellRun[],
  { jobs, signal, onStep, onDone }: RunCellsOptions,
): Promise<void> {
  const queue = cells.values();
  const stop = new AbortController();
  const stopAll = () => stop.abort();
  signal?.addEventListener("abort", stopAll);
  if (signal?.aborted) stopAll();
  const lanes = Array.from({ length: Math.min(jobs, cells.length) }, async () => {
    for (const cell of queue) {
      if (stop.signal.aborted) return;
      const warnings = await runCell(cell, stop.signal, (done) => onStep(cell.name, done));
      onDone(cell.name, warnings);
    }
  });
  const ends = await Promise.allSettled(
    lanes.map((lane) =>
      lane.catch((error: unknown) => {
        stopAll();
        throw error;
      }),
    ),
  );
  signal?.removeEventListener("abort", stopAll);
  if (signal?.aborted) throw new InterruptedError("the same command goes on where this one was stopped");
  const failures = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
  // Those that were stopped because of the first failure have nothing to say.
  const first = failures.find((error) => !(error instanceof InterruptedError));
  if (failures.length > 0) throw first ?? failures[0];
}

function runCell(
  { name, job }: CellRun,
  signal: AbortSignal,
  onStep: (done: number) => void,
): Promise<readonly string[]> {
  const child = fork(MODULE, { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] });
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop);
  return new Promise<readonly string[]>((resolve, reject) => {
    const lastWords = collectLastWords(child);
    let answer: Exclude<CellMessage, { kind: "step" }> | undefined;
    child.on("message", (message: CellMessage) => {
      if (message.kind === "step") onStep(message.done);
      else answer = message;
    });
    child.on("error", reject);
    child.on("close", (code, signalName) => {
      if (answer?.kind === "done") resolve(answer.warnings);
      else if (answer?.kind === "error") reject(unpackError(answer.error));
      else reject(new Error(`the process of ${name} ended with ${signalName ?? code}: ${escapeText(lastWords())}`));
    });
    child.send(job);
  }).finally(() => signal.removeEventListener("abort", stop));
}

function collectLastWords(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-MAX_LAST_WORDS);
  });
  return () => text.trim();
}
