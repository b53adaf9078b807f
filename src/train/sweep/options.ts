/**
 * What a caller may ask of `sweep`, and the defaults: the options of one training run, with lists in the place of rank,
 * convention, learning rate and seed.
 */

import { CONVENTIONS, type Convention } from "../../adapters/adapter.ts";
import { UsageError } from "../../core/errors.ts";
import { assertOptionKinds, type OptionKinds } from "../../core/option-kinds.ts";
import { assertPart, type Part } from "../../core/part.ts";
import type { OnProgress, RunOptions } from "../../core/progress.ts";
import { TRAIN_OPTION_KINDS } from "../option-kinds.ts";
import type { TrainOptions } from "../options.ts";
import { DEFAULT_LEARNING_RATE, DEFAULT_SEED } from "../settings.ts";
import type { CellAxes } from "./cell.ts";

/** Options of a run that a sweep sets for each cell, or that would make cells no longer comparable. */
type VariedOption = "rank" | "scaling" | "lr" | "seed" | "initAdapter" | "logEvery";
/** Options that a sweep gives another meaning. */
type OwnOption = "out" | "resume" | "overwrite" | "dryRun" | "signal" | "onProgress" | "onEvent";

/** What all cells have in common. */
export type CommonOptions = Omit<TrainOptions, VariedOption | OwnOption>;

export interface SweepOptions extends CommonOptions, RunOptions {
  readonly ranks: readonly number[];
  /** Default both. */
  readonly scalings?: readonly Convention[] | undefined;
  /** Default that of `train`. */
  readonly lrs?: readonly number[] | undefined;
  /** Default that of `train`; the spread between seeds needs several. */
  readonly seeds?: readonly number[] | undefined;
  /** The folder to write: one folder for each cell, the report at its top. */
  readonly out: string;
  /** Cells that are trained at a time, each in a process of its own; default 1. */
  readonly jobs?: number | undefined;
  /** Trains every n-th cell only; `finish` makes the report when all parts are done. */
  readonly part?: Part | undefined;
  /** Trains nothing: makes the report of cells that parts have trained. */
  readonly finish?: boolean | undefined;
  /** Starts over where cells of another sweep lie. */
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
}

const { rank, scaling, lr, seed, initAdapter, logEvery, resume, onEvent, ...COMMON_KINDS } = TRAIN_OPTION_KINDS;

const SWEEP_OPTION_KINDS: OptionKinds<SweepOptions> = {
  ...COMMON_KINDS,
  ranks: "required a list of numbers",
  scalings: "a list of texts",
  lrs: "a list of numbers",
  seeds: "a list of numbers",
  jobs: "a number",
  part: "numbers by name",
  finish: "true or false",
};

/** @throws {UsageError} naming the option */
export function axesOf({
  ranks,
  scalings = CONVENTIONS,
  lrs = [DEFAULT_LEARNING_RATE],
  seeds = [DEFAULT_SEED],
}: SweepOptions): CellAxes {
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;
  return {
    ranks: list("ranks", ranks, isCount, "whole numbers of at least 1"),
    scalings: list("scalings", scalings, (value) => CONVENTIONS.includes(value), CONVENTIONS.join(" and ")),
    lrs: list("lrs", lrs, (value) => value > 0 && Number.isFinite(value), "numbers above 0"),
    seeds: list("seeds", seeds, (value) => Number.isSafeInteger(value) && value >= 0, "whole numbers of at least 0"),
  };
}

/** @throws {UsageError} naming the option that is unknown, wrong, or excludes another */
export function assertSweepOptions(options: SweepOptions): void {
  assertOptionKinds("sweep", options, SWEEP_OPTION_KINDS);
  const { jobs = 1, part, finish } = options;
  if (part !== undefined) assertPart(part);
  if (!Number.isSafeInteger(jobs) || jobs < 1) {
    throw new UsageError(`expected a whole number of at least 1, got ${jobs}`, { subject: "jobs" });
  }
  if (part !== undefined && finish)
    throw new UsageError("part and finish exclude each other: first all parts, then finish");
}

function list<Value>(
  name: string,
  values: readonly Value[],
  isRight: (value: Value) => boolean,
  expected: string,
): readonly Value[] {
  const wrong = values.find((value) => !isRight(value));
  if (values.length > 0 && wrong === undefined && new Set(values).size === values.length) return values;
  const problem = wrong !== undefined ? String(wrong) : values.length === 0 ? "nothing" : "one of them twice";
  throw new UsageError(`expected ${expected}, got ${problem}`, { subject: name });
}
