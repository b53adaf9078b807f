/**
 * Options with their defaults → the settings of a run, each in range. What an initial adapter says stands between the two:
 * a flag wins over it, it wins over a default.
 */

import { UsageError } from "../core/errors.ts";
import type { InitialSettings } from "./adapter/initial-settings.ts";
import type { InitialisationName } from "./adapter/initialisations.ts";
import type { TargetSettings } from "./adapter/select-modules.ts";
import type { StepRule } from "./optimise/optimizer.ts";
import { followsEvaluations, type Scheduler } from "./optimise/schedule.ts";
import type { SchedulerArguments } from "./optimise/schedule-arguments.ts";
import type { TrainOptions } from "./options.ts";

export interface AdapterSettings extends TargetSettings {
  readonly dora: boolean;
  readonly dropout: number;
  readonly init: InitialisationName;
}

export interface OptimiserSettings extends StepRule {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly loraPlusRatio: number;
  readonly scheduler: Scheduler;
  readonly schedulerArguments: SchedulerArguments;
  readonly warmupSteps: number;
  readonly maxGradNorm: number;
}

export interface RunSettings {
  /** Wins over epochs. */
  readonly steps: number | undefined;
  readonly epochs: number;
  readonly batchSize: number;
  readonly gradAccum: number;
  readonly maxLength: number;
  readonly packing: boolean;
  readonly seed: number;
  readonly shuffle: boolean;
  readonly evalEvery: number | undefined;
  readonly earlyStopping: number | undefined;
  /** Whether the adapter of the best evaluation is the result. */
  readonly best: boolean;
  readonly saveEvery: number | undefined;
  readonly keepCheckpoints: number | undefined;
  readonly logEvery: number;
}

export interface TrainSettings {
  readonly adapter: AdapterSettings;
  readonly optimiser: OptimiserSettings;
  readonly run: RunSettings;
}

export const DEFAULT_LEARNING_RATE = 2e-4;
export const DEFAULT_SEED = 42;
const DEFAULT_EPOCHS = 3;

/** @throws {UsageError} naming the option */
export function resolveSettings(options: TrainOptions, initial?: InitialSettings): TrainSettings {
  const settings = {
    adapter: adapterSettings(options, initial),
    optimiser: optimiserSettings(options),
    run: runSettings(options),
  };
  count("logitRows", options.logitRows);
  count("threads", options.threads);
  if (options.steps !== undefined && options.epochs !== undefined) {
    throw new UsageError("steps and epochs exclude each other: both say when to stop");
  }
  if (options.evalData === undefined) {
    for (const key of ["evalEvery", "earlyStopping", "best"] as const) {
      if (options[key] !== undefined) throw new UsageError(`${key} needs evalData`);
    }
    if (followsEvaluations(settings.optimiser.scheduler)) {
      throw new UsageError(`scheduler ${settings.optimiser.scheduler} follows evaluations: it needs evalData`);
    }
  }
  return settings;
}

function adapterSettings(options: TrainOptions, initial: InitialSettings | undefined): AdapterSettings {
  const patterns = (given: Readonly<Record<string, number>> | undefined, check: Check) => {
    const entries = Object.entries(given ?? {});
    return given && new Map(entries.map(([pattern, value]) => [pattern, check(`pattern ${pattern}`, value)]));
  };
  return {
    convention: options.scaling ?? initial?.convention ?? "lora",
    rank: count("rank", options.rank) ?? initial?.rank ?? 8,
    alpha: positive("alpha", options.alpha) ?? initial?.alpha ?? 16,
    rankPattern: patterns(options.rankPattern, count) ?? initial?.rankPattern ?? new Map(),
    alphaPattern: patterns(options.alphaPattern, positive) ?? initial?.alphaPattern ?? new Map(),
    targetModules: options.targetModules ?? initial?.targetModules ?? "all-linear",
    layers: options.layers?.map((layer) => natural("layers", layer) ?? 0) ?? initial?.layers,
    modulesToSave: options.modulesToSave ?? initial?.modulesToSave ?? [],
    dora: options.dora ?? initial?.dora ?? false,
    dropout: within("dropout", options.dropout, 0, 1) ?? 0,
    init: options.init ?? initial?.init ?? "default",
  };
}

function optimiserSettings(options: TrainOptions): OptimiserSettings {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  return {
    optimizer: options.optimizer ?? "adamw",
    learningRate: atLeastZero("lr", options.lr) ?? DEFAULT_LEARNING_RATE,
    weightDecay: atLeastZero("weightDecay", options.weightDecay) ?? 0,
    betas: [within("betas", beta1, 0, 1) ?? 0, within("betas", beta2, 0, 1) ?? 0],
    eps: atLeastZero("eps", options.eps) ?? 1e-8,
    loraPlusRatio: positive("loraPlusRatio", options.loraPlusRatio) ?? 1,
    scheduler: options.scheduler ?? "constant",
    schedulerArguments: options.schedulerArgs ?? {},
    warmupSteps: warmup(options.warmupSteps),
    maxGradNorm: atLeastZero("maxGradNorm", options.maxGradNorm) ?? 1,
  };
}

function runSettings(options: TrainOptions): RunSettings {
  return {
    steps: count("steps", options.steps),
    epochs: positive("epochs", options.epochs) ?? DEFAULT_EPOCHS,
    batchSize: count("batchSize", options.batchSize) ?? 8,
    gradAccum: count("gradAccum", options.gradAccum) ?? 1,
    maxLength: count("maxLength", options.maxLength) ?? 1024,
    packing: options.packing ?? false,
    seed: natural("seed", options.seed) ?? DEFAULT_SEED,
    shuffle: options.shuffle ?? true,
    evalEvery: count("evalEvery", options.evalEvery),
    earlyStopping: count("earlyStopping", options.earlyStopping),
    best: options.best ?? options.earlyStopping !== undefined,
    saveEvery: count("saveEvery", options.saveEvery),
    keepCheckpoints: count("keepCheckpoints", options.keepCheckpoints),
    logEvery: count("logEvery", options.logEvery) ?? 1,
  };
}

type Check = (name: string, value: number) => number;

function checked(name: string, value: number | undefined, isRight: (value: number) => boolean, expected: string) {
  if (value === undefined || isRight(value)) return value;
  throw new UsageError(`expected ${expected}, got ${value}`, { subject: name });
}

function count(name: string, value: number): number;
function count(name: string, value: number | undefined): number | undefined;
function count(name: string, value: number | undefined): number | undefined {
  return checked(name, value, (x) => Number.isSafeInteger(x) && x >= 1, "a whole number of at least 1");
}

function positive(name: string, value: number): number;
function positive(name: string, value: number | undefined): number | undefined;
function positive(name: string, value: number | undefined): number | undefined {
  return checked(name, value, (x) => x > 0 && Number.isFinite(x), "a number above 0");
}

function natural(name: string, value: number | undefined): number | undefined {
  return checked(name, value, (x) => Number.isSafeInteger(x) && x >= 0, "a whole number of at least 0");
}

function atLeastZero(name: string, value: number | undefined): number | undefined {
  return checked(name, value, (x) => x >= 0 && Number.isFinite(x), "a number of at least 0");
}

function within(name: string, value: number | undefined, low: number, high: number): number | undefined {
  return checked(name, value, (x) => x >= low && x < high, `a number from ${low} to below ${high}`);
}

function warmup(value: number | undefined): number {
  const isRight = (x: number) => x >= 0 && (x < 1 || Number.isSafeInteger(x));
  return checked("warmupSteps", value, isRight, "a whole number of steps, or a share of them below 1") ?? 0;
}
