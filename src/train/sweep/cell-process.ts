/**
 * The inside of a cell's process: one training run comes in, progress and the end go out. A process of its own, because a
 * run blocks its thread, a GPU takes one session of a process, and memory that a run leaves behind ends with it.
 */

import { NonFiniteError } from "../../core/errors.ts";
import type { ProgressEvent } from "../../core/progress.ts";
import { type PackedError, packError } from "../../engine/worker-errors.ts";
import type { StagedOutput } from "../../formats/output.ts";
import type { TrainOptions } from "../options.ts";
import type { TrainReport } from "../report.ts";
import { CheckpointStore } from "../run/checkpoint.ts";
import { train } from "../train.ts";
import { claimCell, publishCell } from "./sweep-record.ts";

/** What the process is sent, once. */
export type CellJob = Omit<TrainOptions, "resume" | "signal" | "onProgress" | "onEvent">;

export type CellMessage =
  | { readonly kind: "step"; readonly done: number }
  | { readonly kind: "done"; readonly warnings: readonly string[] }
  | { readonly kind: "error"; readonly error: PackedError };

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupt.abort());
// The parent is gone: nobody will ever read what comes of this.
process.on("disconnect", () => interrupt.abort());

process.once("message", (job: CellJob) => {
  runCell(job).then(
    (warnings) => send({ kind: "done", warnings }),
    (error: unknown) => send({ kind: "error", error: packError(error) }),
  );
});

async function runCell(job: CellJob): Promise<readonly string[]> {
  const claim = await claimCell(job.out);
  try {
    return await trainCell(job, claim);
  } catch (error) {
    claim.discard();
    throw error;
  }
}

async function trainCell(job: CellJob, claim: StagedOutput): Promise<readonly string[]> {
  const onProgress = ({ done }: ProgressEvent) => {
    if (process.connected) process.send?.({ kind: "step", done } satisfies CellMessage);
  };
  const resume = new CheckpointStore(job.out).steps().length > 0;
  let report: TrainReport;
  let diverged: string | null = null;
  try {
    report = await train({ ...job, resume, signal: interrupt.signal, onProgress });
  } catch (error) {
    // A rate that is too high is what a sweep is there to show.
    if (!(error instanceof NonFiniteError)) throw error;
    diverged = error.message;
    report = await train({ ...job, dryRun: true });
  }
  const { convention, modules, warnings } = report;
  const trained = modules.map(({ name, rank, alpha, scale }) => ({ name, rank, alpha, scale, convention }));
  await publishCell(claim, { modules: trained, diverged });
  return warnings;
}

/** The channel is closed when the message has left, so that the process can end. */
function send(message: CellMessage): void {
  if (!process.connected) process.exit(1);
  process.send?.(message, () => process.disconnect());
}
