/**
 * `train`: an adapter for a base, from rows of text or tokens, written as a PEFT folder.
 */

import { openEngine } from "../engine/engine.ts";
import { planTrainedAdapter } from "./adapter/adapter-content.ts";
import { createTrainedSet, type TrainedSet } from "./adapter/trained-tensors.ts";
import type { Batch } from "./data/batch.ts";
import { Batches } from "./data/batches.ts";
import { createSchedule } from "./optimise/schedule.ts";
import type { TrainOptions } from "./options.ts";
import { planTraining, type TrainPlan } from "./plan.ts";
import type { TrainReport, TrainResult } from "./report.ts";
import { BestValues } from "./run/best-values.ts";
import { CheckpointStore } from "./run/checkpoint.ts";
import type { StepEvent } from "./run/events.ts";
import { fingerprintOf } from "./run/fingerprint.ts";
import { MetricsWriter } from "./run/metrics.ts";
import { restoreTensors } from "./run/moments.ts";
import { assertRunFolder, openRunFolder, writeResult } from "./run/output-folder.ts";
import { resumePoint } from "./run/resume.ts";
import { runTraining } from "./run/run.ts";
import type { RunState } from "./run/run-state.ts";
import { Trainer } from "./run/trainer.ts";
import { StepPrograms } from "./step/programs.ts";

/** Rows of logits that exist at a time: fewer read the head's weight more often. */
const LOGIT_ROWS = 256;

/**
 * @throws {UsageError} naming the option that is wrong, or whose pattern matches nothing
 * @throws {NonFiniteError} naming step and module; a checkpoint of the steps before it is kept
 * @throws {InterruptedError} after the signal, with a checkpoint saved
 * @throws {MismatchError} RESUME_MISMATCH when the checkpoint is of a run with other settings
 */
export async function train(options: TrainOptions): Promise<TrainReport> {
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
  openRunFolder(out, resume);
  for (const message of found?.warnings ?? []) options.onEvent?.({ kind: "warning", message });
  const start = found?.state ?? { step: 0, best: null, worse: 0, schedule: null, fingerprint };
  if (start.step > 0) await restoreTensors(store.pathOf(start.step), set.tensors);
  const result = await run(options, plan, set, store, start);
  const warnings = [...plan.report.warnings, ...(found?.warnings ?? [])];
  return { ...plan.report, warnings, result };
}

async function run(
  options: TrainOptions,
  plan: TrainPlan,
  set: TrainedSet,
  store: CheckpointStore,
  start: RunState,
): Promise<TrainResult> {
  const { settings, base, totalSteps, windows } = plan;
  const started = performance.now();
  const engine = await openEngine({
    device: options.device ?? "auto",
    purpose: "train",
    ...(options.threads !== undefined && { threads: options.threads }),
  });
  const metrics = new MetricsWriter(options.out, start.step);
  try {
    const programs = new StepPrograms(engine, {
      base,
      modules: set.modules,
      saved: set.saved.map(({ name }) => name),
      dora: settings.adapter.dora,
      dropout: settings.adapter.dropout > 0,
      chunkRows: options.logitRows ?? LOGIT_ROWS,
      recompute: options.checkpointBlocks ?? false,
    });
    const schedule = createSchedule({
      ...settings.optimiser,
      arguments: settings.optimiser.schedulerArguments,
      warmupSteps: warmupSteps(settings.optimiser.warmupSteps, totalSteps),
      totalSteps,
    });
    if (start.schedule !== null) schedule.restore(start.schedule);
    const planAdapter = () => planTrainedAdapter(set, base, settings.adapter);
    const keepsBest = options.best ?? settings.run.earlyStopping !== undefined;
    const best = new BestValues(keepsBest, set.tensors);
    if (start.best !== null) await best.read(store.pathOf(start.best.step), start.best.step);
    const events = runTraining(
      {
        trainer: new Trainer(set, programs, settings),
        schedule,
        windows,
        evalBatches: evalBatches(plan),
        tensors: set.tensors,
        store,
        planAdapter,
        settings: settings.run,
        totalSteps,
        keepsBest,
        signal: options.signal,
      },
      start,
    );
    let last: StepEvent | undefined;
    let next = await events.next();
    for (; next.done !== true; next = await events.next()) {
      const event = next.value;
      options.onEvent?.(event);
      if (event.kind !== "step") continue;
      last = event;
      if (event.evaluation?.isBest) best.keep(event.step);
      if (event.step % settings.run.logEvery === 0 || event.step === totalSteps) metrics.write(event);
      options.onProgress?.({ phase: "train", done: event.step, total: totalSteps, unit: "steps" });
    }
    const end = next.value;
    const writtenStep = best.restore() ?? end.step;
    const files = await writeResult(options.out, planAdapter());
    const seconds = (performance.now() - started) / 1000;
    return {
      steps: end.step,
      resumedFrom: start.step === 0 ? undefined : start.step,
      loss: last?.loss,
      evalLoss: last?.evaluation?.loss,
      best: end.best ?? undefined,
      writtenStep,
      seconds,
      tokensPerSecond: last?.tokensPerSecond,
      device: engine.device,
      files,
    };
  } finally {
    metrics.close();
    await engine.close();
  }
}

function evalBatches({ evalData, settings }: TrainPlan): Batch[] {
  if (evalData === undefined) return [];
  const { batchSize, seed } = settings.run;
  const batches = new Batches(evalData.sequences, { batchSize, seed, shuffle: false });
  return Array.from({ length: batches.perEpoch }, (_, index) => batches.batch(0, index));
}

/** A number below 1 is a share of all steps, rounded up as in transformers. */
function warmupSteps(given: number, totalSteps: number): number {
  return given < 1 ? Math.ceil(given * totalSteps) : given;
}
