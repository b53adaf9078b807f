/**
 * `train`: an adapter for a base, from rows of text or tokens, written as a PEFT folder.
 */

import { assertOptionKinds } from "../core/option-kinds.ts";
import { createTrainedSet } from "./adapter/trained-tensors.ts";
import { TRAIN_OPTION_KINDS } from "./option-kinds.ts";
import type { TrainOptions } from "./options.ts";
import { planTraining } from "./plan.ts";
import type { TrainReport } from "./report.ts";
import { CheckpointStore } from "./run/checkpoint.ts";
import type { TrainEvent } from "./run/events.ts";
import { fingerprintOf } from "./run/fingerprint.ts";
import { restoreTensors } from "./run/moments.ts";
import { assertRunFolder } from "./run/output-folder.ts";
import { resumePoint } from "./run/resume.ts";
import { runSession } from "./session.ts";

/**
 * Trains an adapter and writes it, with its metrics, checkpoints and report; under `dryRun` only says what it would do.
 *
 * @returns what the run was planned to be and, but for a dry run, its `result`
 * @throws {UsageError} naming the option that is unknown or wrong, or whose pattern matches nothing
 * @throws {NonFiniteError} naming step and module; a checkpoint of the steps before it is kept
 * @throws {InterruptedError} after the signal, with a checkpoint saved
 * @throws {MismatchError} RESUME_MISMATCH when the checkpoint is of a run with other settings
 */
export async function train(options: TrainOptions): Promise<TrainReport> {
  assertOptionKinds("train", options, TRAIN_OPTION_KINDS);
  const plan = await planTraining(options);
  const { out, resume = false, overwrite = false } = options;
  const inputs = [...plan.base.files, ...(plan.initial?.files ?? [])];
  assertRunFolder(out, { resume, overwrite, inputs });
  if (options.dryRun) return plan.report;
  plan.base.load();
  const fingerprint = fingerprintOf(plan);
  const set = createTrainedSet(plan);
  const store = new CheckpointStore(out);
  const found = resume ? resumePoint(store, fingerprint) : undefined;
  const warnings: string[] = [];
  const onEvent = (event: TrainEvent) => {
    if (event.kind === "warning") warnings.push(event.message);
    options.onEvent?.(event);
  };
  for (const message of [...plan.report.warnings, ...(found?.warnings ?? [])]) onEvent({ kind: "warning", message });
  const start = found?.state ?? { step: 0, best: null, worse: 0, schedule: null, fingerprint };
  if (start.step > 0) await restoreTensors(store.pathOf(start.step), set.tensors);
  const result = await runSession({ options: { ...options, onEvent }, plan, set, store, start });
  return { ...plan.report, warnings, result };
}
