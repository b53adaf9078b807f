/**
 * The learning rate of each step: the twelve schedules of transformers 5.23 (`optimization.py`), by their names there.
 *
 * Ten are a factor of the step t = 0, 1, … alone, so they need no state: warm-up over W steps is t / max(1, W), which makes
 * the first step's rate 0, then a curve of the progress p = (t − W) / max(1, T − W) over T steps in all. Two follow a
 * measurement instead (`measured-schedule.ts`). One difference: `constant` ignores W in transformers, here it warms up as
 * `constant_with_warmup` does, because whoever asks for warm-up wants it.
 */

import { UsageError } from "../../core/errors.ts";
import { greedy, type MeasuredState, reduceOnPlateau } from "./measured-schedule.ts";
import { type SchedulerArguments, settingsOf } from "./schedule-arguments.ts";

export const SCHEDULERS = [
  "constant",
  "linear",
  "cosine",
  "cosine_with_restarts",
  "polynomial",
  "constant_with_warmup",
  "inverse_sqrt",
  "reduce_lr_on_plateau",
  "cosine_with_min_lr",
  "cosine_warmup_with_min_lr",
  "warmup_stable_decay",
  "greedy",
] as const;
export type Scheduler = (typeof SCHEDULERS)[number];

export interface ScheduleOptions {
  readonly scheduler: Scheduler;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  readonly arguments: SchedulerArguments;
}

export interface Schedule {
  /** The rate of step `t`, counted from 0. */
  learningRate(t: number): number;
  /** An evaluation's loss, for the schedules that follow one. */
  observe(loss: number): void;
  /** What a checkpoint has to keep; `undefined` for schedules of the step alone. */
  state(): MeasuredState | undefined;
  restore(state: MeasuredState): void;
}

/** What multiplies the learning rate in step `t`. */
type Factor = (t: number) => number;
type MakeFactor = (options: ScheduleOptions) => Factor;

/** Schedules that follow the loss of evaluations. */
export function followsEvaluations(scheduler: Scheduler): boolean {
  return scheduler === "reduce_lr_on_plateau" || scheduler === "greedy";
}

/** @throws {UsageError} naming the argument that is unknown or out of range */
export function createSchedule(options: ScheduleOptions): Schedule {
  const { scheduler, learningRate } = options;
  const settings = settingsOf(scheduler, options.arguments);
  if (scheduler === "reduce_lr_on_plateau") return reduceOnPlateau(learningRate, settings);
  if (scheduler === "greedy") return greedy(learningRate, settings);
  const factor = FACTORS[scheduler](options);
  return {
    learningRate: (t) => learningRate * factor(t),
    observe: () => {},
    state: () => undefined,
    restore: () => {},
  };
}

const cosineOf = (cycles: number, progress: number) => 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
const above = (value: number, minimum: number) => value * (1 - minimum) + minimum;

/** Warm-up, then `curve(p, t)`. */
function warmed({ warmupSteps, totalSteps }: ScheduleOptions, curve: (progress: number, t: number) => number): Factor {
  return (t) => {
    if (t < warmupSteps) return t / Math.max(1, warmupSteps);
    return curve((t - warmupSteps) / Math.max(1, totalSteps - warmupSteps), t);
  };
}

const constant: MakeFactor = (options) => warmed(options, () => 1);

/** The lowest rate as a share of the rate; one of the two arguments has to be there. */
function minimumShare({ scheduler, learningRate, arguments: given }: ScheduleOptions): number {
  const { min_lr: absolute, min_lr_rate: share } = settingsOf(scheduler, given).numbers;
  if ((absolute === undefined) === (share === undefined)) {
    throw new UsageError(`scheduler ${scheduler} needs one of min_lr and min_lr_rate`, {
      hint: "--scheduler-args min_lr_rate=0.1",
    });
  }
  return share ?? (absolute ?? 0) / learningRate;
}

const FACTORS: Readonly<Record<Exclude<Scheduler, "reduce_lr_on_plateau" | "greedy">, MakeFactor>> = {
  constant,
  constant_with_warmup: constant,
  linear: (options) =>
    warmed(options, (_, t) =>
      Math.max(0, (options.totalSteps - t) / Math.max(1, options.totalSteps - options.warmupSteps)),
    ),
  cosine: (options) => {
    const { num_cycles: cycles = 0.5 } = settingsOf("cosine", options.arguments).numbers;
    return warmed(options, (progress) => Math.max(0, cosineOf(cycles, progress)));
  },
  cosine_with_restarts: (options) => {
    const { num_cycles: cycles = 1 } = settingsOf("cosine_with_restarts", options.arguments).numbers;
    return warmed(options, (progress) =>
      progress >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * progress) % 1)))),
    );
  },
  polynomial: (options) => {
    const { lr_end: end = 1e-7, power = 1 } = settingsOf("polynomial", options.arguments).numbers;
    const { learningRate, totalSteps, warmupSteps } = options;
    if (!(learningRate > end)) throw new UsageError(`polynomial: expected lr_end below ${learningRate}, got ${end}`);
    return warmed(options, (_, t) => {
      if (t > totalSteps) return end / learningRate;
      const left = 1 - (t - warmupSteps) / (totalSteps - warmupSteps);
      return ((learningRate - end) * left ** power + end) / learningRate;
    });
  },
  inverse_sqrt: (options) => {
    const { warmupSteps } = options;
    const { timescale = warmupSteps || 10_000 } = settingsOf("inverse_sqrt", options.arguments).numbers;
    return warmed(options, (_, t) => 1 / Math.sqrt((t + timescale - warmupSteps) / timescale));
  },
  cosine_with_min_lr: (options) => {
    const { num_cycles: cycles = 0.5 } = settingsOf("cosine_with_min_lr", options.arguments).numbers;
    const minimum = minimumShare(options);
    return warmed(options, (progress) => Math.max(0, above(cosineOf(cycles, progress), minimum)));
  },
  // Counts steps from 1, so that its first rate is not 0.
  cosine_warmup_with_min_lr: (options) => {
    const { warmupSteps, totalSteps } = options;
    const { num_cycles: cycles = 0.5, warmup_lr_rate: start } = settingsOf(
      "cosine_warmup_with_min_lr",
      options.arguments,
    ).numbers;
    const minimum = minimumShare(options);
    return (t) => {
      if (t < warmupSteps) {
        return start === undefined ? (t + 1) / warmupSteps : start + ((1 - start) * t) / Math.max(1, warmupSteps - 1);
      }
      const progress = (t - warmupSteps + 1) / Math.max(1, totalSteps - warmupSteps);
      return Math.max(0, above(cosineOf(cycles, progress), minimum));
    };
  },
  warmup_stable_decay: (options) => {
    const { warmupSteps, totalSteps } = options;
    const { numbers, warmupType, decayType } = settingsOf("warmup_stable_decay", options.arguments);
    const { num_decay_steps: decay, num_cycles: cycles = 0.5, min_lr_ratio: minimum = 0 } = numbers;
    if (decay === undefined) {
      throw new UsageError("scheduler warmup_stable_decay needs num_decay_steps", {
        hint: "--scheduler-args num_decay_steps=100",
      });
    }
    const stable = numbers.num_stable_steps ?? totalSteps - warmupSteps - decay;
    const rising = { linear: (p: number) => p, cosine: (p: number) => 0.5 * (1 - Math.cos(Math.PI * p)) };
    const rise = warmupType === "1-sqrt" ? (p: number) => 1 - Math.sqrt(1 - p) : rising[warmupType];
    const falling = { linear: (p: number) => 1 - p, cosine: (p: number) => cosineOf(cycles, p) };
    const fall = decayType === "1-sqrt" ? (p: number) => 1 - Math.sqrt(p) : falling[decayType];
    return (t) => {
      if (t < warmupSteps) return Math.max(0, above(rise(t / Math.max(1, warmupSteps)), minimum));
      const into = t - warmupSteps - stable;
      if (into < 0) return 1;
      return into < decay ? Math.max(0, above(fall(into / Math.max(1, decay)), minimum)) : minimum;
    };
  },
};
