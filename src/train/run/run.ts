/**
 * The loop: steps, evaluations and checkpoints until the last step, a reason to stop early, or a signal.
 *
 * A signal ends it after the step at work, with a checkpoint. A number that is not finite ends it too, before the step has
 * changed anything, with a checkpoint of the steps before it.
 */

import { setImmediate } from "node:timers/promises";
import type { AdapterOutput } from "../../adapters/output/write-files.ts";
import { InterruptedError, NonFiniteError } from "../../core/errors.ts";
import { quote, summarise } from "../../core/text.ts";
import type { TrainedTensor } from "../adapter/trained-tensors.ts";
import type { Batch } from "../data/batch.ts";
import type { Schedule } from "../optimise/schedule.ts";
import type { RunSettings } from "../settings.ts";
import type { CheckpointStore } from "./checkpoint.ts";
import type { Evaluation, TrainEvent } from "./events.ts";
import type { RunState } from "./run-state.ts";
import type { Trainer } from "./trainer.ts";
import type { Windows } from "./windows.ts";

export interface RunParts {
  readonly trainer: Trainer;
  readonly schedule: Schedule;
  readonly windows: Windows;
  readonly evalBatches: readonly Batch[];
  readonly tensors: readonly TrainedTensor[];
  readonly store: CheckpointStore;
  /** The trained adapter as it is now. */
  readonly planAdapter: () => AdapterOutput;
  readonly settings: RunSettings;
  readonly totalSteps: number;
  readonly signal: AbortSignal | undefined;
}

/** Yields what happens and returns the state at the end. */
export async function* runTraining(parts: RunParts, start: RunState): AsyncGenerator<TrainEvent, RunState> {
  const { schedule, windows, store, settings, totalSteps } = parts;
  const evalEvery = settings.evalEvery ?? windows.stepsPerEpoch;
  let state = start;
  let savedStep = start.step;
  const save = async (): Promise<TrainEvent> => {
    const path = await store.save({ ...state, schedule: schedule.state() ?? null }, parts.planAdapter(), parts.tensors);
    savedStep = state.step;
    if (settings.keepCheckpoints !== undefined) store.prune(settings.keepCheckpoints, new Set([state.best?.step ?? 0]));
    return { kind: "checkpoint", step: state.step, path };
  };
  const isOver = () => state.step >= totalSteps || state.worse >= (settings.earlyStopping ?? Number.POSITIVE_INFINITY);
  while (!isOver()) {
    // Signals are handled between turns of the event loop; the engine never gives it one.
    await setImmediate();
    if (parts.signal?.aborted) {
      if (state.step > savedStep) yield await save();
      throw new InterruptedError(state.step > 0 ? "--resume goes on from the last checkpoint" : undefined);
    }
    const step = state.step + 1;
    const window = windows.of(step);
    const learningRate = schedule.learningRate(state.step);
    const started = performance.now();
    const result = await parts.trainer.step(window, step, learningRate).catch(async (error: unknown) => {
      if (error instanceof NonFiniteError && state.step > savedStep) await save();
      throw error;
    });
    const seconds = (performance.now() - started) / 1000;
    state = { ...state, step };
    const isLast = step === totalSteps;
    let evaluation: Evaluation | undefined;
    if (parts.evalBatches.length > 0 && (isLast || step % evalEvery === 0)) {
      [evaluation, state] = await evaluate(parts, state);
    }
    const tokensPerSecond = result.tokens / seconds;
    yield { kind: "step", totalSteps, step, learningRate, evaluation, ...result, tokensPerSecond, seconds };
    if (step === 1) yield* deadModules(parts.trainer.moduleNames, result.moduleGradNorms);
    const isDue = settings.saveEvery !== undefined && (isLast || step % settings.saveEvery === 0);
    // The best one may be the result.
    if (isDue || (settings.best && evaluation?.isBest)) yield await save();
  }
  return state;
}

async function evaluate(
  { trainer, schedule, evalBatches }: RunParts,
  state: RunState,
): Promise<[Evaluation, RunState]> {
  const loss = await trainer.evaluate(evalBatches);
  schedule.observe(loss);
  const isBest = state.best === null || loss < state.best.loss;
  const next = isBest ? { best: { step: state.step, loss }, worse: 0 } : { worse: state.worse + 1 };
  return [
    { loss, perplexity: Math.exp(loss), isBest },
    { ...state, ...next },
  ];
}

/** An adapter that the first step cannot move is on a layer that the loss does not see. */
function* deadModules(names: readonly string[], norms: readonly number[]): Generator<TrainEvent> {
  const dead = names.filter((_, index) => norms[index] === 0);
  if (dead.length === 0) return;
  const message = `the gradient of ${summarise(dead.map(quote))} is zero in the first step: nothing would be learned there`;
  yield { kind: "warning", message };
}
