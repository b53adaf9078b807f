/**
 * One start of a run: from its tensors on an open engine to the adapter and the report on disk.
 */

import { type Engine, openEngine } from "../engine/engine.ts";
import { planTrainedAdapter } from "./adapter/adapter-content.ts";
import type { TrainedSet } from "./adapter/trained-tensors.ts";
import type { Batch } from "./data/batch.ts";
import { Batches } from "./data/batches.ts";
import { FEW_BUCKETS } from "./data/buckets.ts";
import { createSchedule, type Schedule } from "./optimise/schedule.ts";
import type { TrainOptions } from "./options.ts";
import type { TrainPlan } from "./plan.ts";
import type { TrainResult } from "./report.ts";
import { BestValues } from "./run/best-values.ts";
import type { CheckpointStore } from "./run/checkpoint.ts";
import type { StepEvent } from "./run/events.ts";
import { openRunFolder, writeResult } from "./run/output-folder.ts";
import { runTraining } from "./run/run.ts";
import { RunLog } from "./run/run-log.ts";
import type { RunState } from "./run/run-state.ts";
import { Trainer } from "./run/trainer.ts";
import { settingsInWords } from "./settings-words.ts";
import { sharesWeights } from "./step/program.ts";
import { StepPrograms } from "./step/programs.ts";
import { teraflops } from "./step/speed.ts";

export interface Session {
  readonly options: TrainOptions;
  readonly plan: TrainPlan;
  readonly set: TrainedSet;
  readonly store: CheckpointStore;
  readonly start: RunState;
}

export async function runSession(session: Session): Promise<TrainResult> {
  const { options } = session;
  const started = performance.now();
  const engine = await openEngine({
    device: options.device ?? "auto",
    engine: options.engine ?? "onnxruntime",
    purpose: "train",
    ...(options.threads !== undefined && { threads: options.threads }),
  });
  try {
    // Not before: where there is no device, what an earlier run left stays.
    openRunFolder(options.out, options.resume ?? false);
    return await runOn(engine, session, started);
  } finally {
    await engine.close();
  }
}

async function runOn(engine: Engine, session: Session, started: number): Promise<TrainResult> {
  const { options, plan, set, store, start } = session;
  const { settings, base, totalSteps } = plan;
  const maxBuckets = sharesWeights(engine) ? undefined : FEW_BUCKETS;
  if (maxBuckets !== undefined) plan.windows.limitBuckets(maxBuckets);
  if (engine.keepsF16) base.narrow?.((name) => plan.graphOptions.saved.includes(name));
  const log = new RunLog(options.out, start.step, plan.report);
  try {
    const schedule = openSchedule(plan, start);
    const planAdapter = () => planTrainedAdapter(set, base, settings.adapter);
    const best = new BestValues(settings.run.best, set.tensors);
    if (start.best !== null) await best.read(store.pathOf(start.best.step), start.best.step);
    const events = runTraining(
      {
        trainer: new Trainer(set, new StepPrograms(engine, plan.graphOptions), settings),
        schedule,
        windows: plan.windows,
        evalBatches: evalBatches(plan, maxBuckets),
        tensors: set.tensors,
        store,
        planAdapter,
        settings: settings.run,
        totalSteps,
        signal: options.signal,
      },
      start,
    );
    let first: StepEvent | undefined;
    let last: StepEvent | undefined;
    let speed = 0;
    let [tokens, stepSeconds] = [0, 0];
    let next = await events.next();
    for (; next.done !== true; next = await events.next()) {
      const event = next.value;
      options.onEvent?.(event);
      if (event.kind !== "step") continue;
      first ??= event;
      last = event;
      tokens += event.tokens;
      stepSeconds += event.seconds;
      speed = Math.max(speed, teraflops(base.layers, event));
      if (event.evaluation?.isBest) best.keep(event.step);
      if (event.step % settings.run.logEvery === 0 || event.step === totalSteps) log.write(event);
      options.onProgress?.({ phase: "train", done: event.step, total: totalSteps, unit: "steps" });
    }
    const end = next.value;
    const writtenStep = best.restore() ?? end.step;
    await log.writeReport(settingsInWords(plan));
    const files = await writeResult(options.out, planAdapter());
    return {
      steps: end.step,
      resumedFrom: start.step === 0 ? undefined : start.step,
      firstLoss: first?.loss,
      loss: last?.loss,
      evalLoss: last?.evaluation?.loss,
      best: end.best ?? undefined,
      writtenStep,
      seconds: (performance.now() - started) / 1000,
      tokensPerSecond: last && tokens / stepSeconds,
      teraflops: speed,
      device: engine.device,
      files,
    };
  } finally {
    log.close();
  }
}

function openSchedule({ settings: { optimiser }, totalSteps }: TrainPlan, start: RunState): Schedule {
  const { warmupSteps } = optimiser;
  const schedule = createSchedule({
    ...optimiser,
    arguments: optimiser.schedulerArguments,
    // A number below 1 is a share of all steps, rounded up as in transformers.
    warmupSteps: warmupSteps < 1 ? Math.ceil(warmupSteps * totalSteps) : warmupSteps,
    totalSteps,
  });
  if (start.schedule !== null) schedule.restore(start.schedule);
  return schedule;
}

function evalBatches({ evalData, settings }: TrainPlan, maxBuckets: number | undefined): Batch[] {
  if (evalData === undefined) return [];
  const { batchSize, seed } = settings.run;
  const batches = new Batches(evalData.sequences, { batchSize, seed, shuffle: false });
  if (maxBuckets !== undefined) batches.limitBuckets(maxBuckets);
  return Array.from({ length: batches.perEpoch }, (_, index) => batches.batch(0, index));
}
