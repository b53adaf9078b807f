/**
 * Learning rates that follow the loss of evaluations: torch's `ReduceLROnPlateau` (2.15) and transformers' `GreedyLR`
 * (5.23), lower losses being better. Their whole state is a handful of numbers, which a checkpoint keeps.
 */

import { UsageError } from "../../core/errors.ts";
import type { Schedule } from "./schedule.ts";
import type { ScheduleSettings } from "./schedule-arguments.ts";

export interface MeasuredState {
  readonly rate: number;
  /** `null` before the first evaluation. */
  readonly best: number | null;
  readonly badEvaluations: number;
  readonly goodEvaluations: number;
  readonly cooldown: number;
  readonly warmup: number;
  readonly resetIn: number;
}

/** rate × factor once the loss has not fallen by the relative threshold for more than `patience` evaluations. */
export function reduceOnPlateau(learningRate: number, { numbers }: ScheduleSettings): Schedule {
  const { factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0, min_lr: lowest = 0, eps = 1e-8 } = numbers;
  assertFactor(factor);
  const next = (state: MeasuredState, loss: number): MeasuredState => {
    const better = loss < (state.best ?? Number.POSITIVE_INFINITY) * (1 - threshold);
    const best = better ? loss : state.best;
    const cooling = state.cooldown > 0;
    const bad = better || cooling ? 0 : state.badEvaluations + 1;
    const left = cooling ? state.cooldown - 1 : 0;
    if (bad <= patience) return { ...state, best, badEvaluations: bad, cooldown: left };
    const lower = Math.max(state.rate * factor, lowest);
    const rate = state.rate - lower > eps ? lower : state.rate;
    return { ...state, rate, best, badEvaluations: 0, cooldown };
  };
  return follow(start(learningRate, 0), next);
}

/**
 * Divides by the factor after more than `patience` evaluations that each were better, multiplies after as many that were
 * not, and begins anew after `reset_start` reductions at the lowest rate.
 */
export function greedy(learningRate: number, { numbers }: ScheduleSettings): Schedule {
  const { factor = 0.95, patience = 10, threshold = 1e-6, cooldown = 0, warmup = 0, eps = 1e-8 } = numbers;
  const { min_lr: lowest = 1e-3, max_lr: highest = 1, reset_start: resetStart = 500 } = numbers;
  assertFactor(factor);
  if (!(learningRate >= lowest)) {
    throw new UsageError(
      `greedy never lowers a rate below its min_lr: expected at least ${lowest}, got ${learningRate}`,
      {
        hint: "--scheduler-args min_lr=1e-6",
      },
    );
  }
  const initial = start(learningRate, resetStart);
  const increased = (state: MeasuredState): MeasuredState => {
    const higher = Math.min(state.rate / factor, highest);
    const rate = higher - state.rate > eps ? higher : state.rate;
    return { ...state, rate, goodEvaluations: 0, warmup, resetIn: resetStart };
  };
  const reduced = (state: MeasuredState): MeasuredState => {
    const lower = Math.max(state.rate * factor, lowest);
    const rate = state.rate - lower > eps ? lower : state.rate;
    if (rate > lowest) return { ...state, rate, badEvaluations: 0, cooldown };
    if (state.resetIn > 1) return { ...state, rate, badEvaluations: 0, cooldown, resetIn: state.resetIn - 1 };
    // transformers sets the cooldown after the reset.
    return { ...initial, cooldown };
  };
  const next = (state: MeasuredState, loss: number): MeasuredState => {
    const calm = { ...state, badEvaluations: 0, goodEvaluations: 0 };
    if (state.cooldown > 0) return { ...calm, cooldown: state.cooldown - 1 };
    if (state.warmup > 0) return { ...calm, warmup: state.warmup - 1 };
    const better = loss < (state.best ?? Number.POSITIVE_INFINITY) - threshold;
    const counted = better
      ? { ...calm, best: loss, goodEvaluations: state.goodEvaluations + 1 }
      : { ...calm, badEvaluations: state.badEvaluations + 1 };
    if (counted.goodEvaluations > patience) return increased(counted);
    return counted.badEvaluations > patience ? reduced(counted) : counted;
  };
  return follow(initial, next);
}

function start(rate: number, resetIn: number): MeasuredState {
  return { rate, best: null, badEvaluations: 0, goodEvaluations: 0, cooldown: 0, warmup: 0, resetIn };
}

function follow(initial: MeasuredState, next: (state: MeasuredState, loss: number) => MeasuredState): Schedule {
  let state = initial;
  return {
    learningRate: () => state.rate,
    observe: (loss) => {
      state = next(state, loss);
    },
    state: () => state,
    restore: (saved) => {
      state = saved;
    },
  };
}

function assertFactor(factor: number): void {
  if (!(factor < 1)) throw new UsageError(`expected a number below 1, got ${factor}`, { subject: "factor" });
}
