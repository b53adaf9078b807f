/**
 * What a caller may ask of `resize`.
 */

import { EXPERT_ORDERS, type ExpertOrder } from "../../adapters/adapter.ts";
import { FACTOR_DTYPES, type FactorDtypeWish } from "../../adapters/low-rank/factor-dtype.ts";
import { assertProcessor } from "../../adapters/low-rank/processor-only.ts";
import { UsageError } from "../../core/errors.ts";
import { assertOptionKinds, type OptionKinds } from "../../core/option-kinds.ts";
import { POOL_OPTION_KINDS, type PoolOptions } from "../../engine/worker-pool.ts";

export interface ResizeOptions extends PoolOptions {
  /** An adapter of any layout whose deltas are products of two factors. */
  readonly adapter: string;
  /** The folder to write, for layouts of one file the file. */
  readonly out: string;
  /** Of every module; with `energy` the most that a module may have. */
  readonly rank?: number | undefined;
  /** Share of each delta's squared Frobenius norm to keep: each module gets the smallest rank for it. */
  readonly energy?: number | undefined;
  /** Of the factors; `keep`: as the adapter has them. */
  readonly dtype?: FactorDtypeWish | undefined;
  /** Order of the stacked experts in `up`, where the adapter was not made by PEFT. */
  readonly expertOrder?: ExpertOrder | undefined;
  readonly overwrite?: boolean | undefined;
  /** Decompose and report, write nothing. */
  readonly dryRun?: boolean | undefined;
}

const OPTION_KINDS: OptionKinds<ResizeOptions> = {
  ...POOL_OPTION_KINDS,
  adapter: "required a text",
  out: "required a text",
  rank: "a number",
  energy: "a number",
  dtype: FACTOR_DTYPES,
  expertOrder: EXPERT_ORDERS,
  overwrite: "true or false",
  dryRun: "true or false",
};

/**
 * @throws {UsageError} naming the option that is wrong or missing
 * @throws {UnsupportedError} DEVICE_UNAVAILABLE
 */
export function assertOptions(options: ResizeOptions): void {
  assertOptionKinds("resize", options, OPTION_KINDS);
  assertRankTarget(options);
  assertProcessor(options.device);
}

/** @throws {UsageError} when neither is given or one is out of range */
export function assertRankTarget({ rank, energy }: Pick<ResizeOptions, "rank" | "energy">): void {
  if (rank === undefined && energy === undefined) throw new UsageError("expected a rank or an energy to keep");
  if (rank !== undefined && !(Number.isSafeInteger(rank) && rank >= 1)) {
    throw new UsageError(`expected a rank from 1 on, got ${rank}`);
  }
  if (energy !== undefined && !(energy > 0 && energy <= 1)) {
    throw new UsageError(`expected an energy above 0 and up to 1, got ${energy}`);
  }
}
