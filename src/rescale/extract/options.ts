/**
 * What a caller may ask of `extract`.
 */

import type { FactorDtypeWish } from "../../adapters/low-rank/factor-dtype.ts";
import { UsageError } from "../../core/errors.ts";
import { assertOptionKinds, type OptionKinds } from "../../core/option-kinds.ts";
import { POOL_OPTION_KINDS, type PoolOptions } from "../../engine/worker-pool.ts";
import { assertRankTarget } from "../resize/options.ts";

/** Dtypes that new factors may have; f32 leaves the least behind. */
export const EXTRACT_DTYPES = ["f32", "f16", "bf16"] as const satisfies readonly FactorDtypeWish[];
export type ExtractDtype = (typeof EXTRACT_DTYPES)[number];

export interface ExtractOptions extends PoolOptions {
  /** HF folder, `model.safetensors.index.json` or one `.safetensors` file. */
  readonly base: string;
  /** The same, after training. */
  readonly tuned: string;
  /** The folder to write. */
  readonly out: string;
  /** Of every module; with `energy` the most that a module may have. */
  readonly rank?: number | undefined;
  /** Share of each difference's squared Frobenius norm to keep: each module gets the smallest rank for it. */
  readonly energy?: number | undefined;
  /** Decompose large differences until nothing changes any more; small ones always are exact. */
  readonly exact?: boolean | undefined;
  /** Of the factors; default f32. */
  readonly dtype?: ExtractDtype | undefined;
  readonly overwrite?: boolean | undefined;
  /** Decompose and report, write nothing. */
  readonly dryRun?: boolean | undefined;
}

const OPTION_KINDS: OptionKinds<ExtractOptions> = {
  ...POOL_OPTION_KINDS,
  base: "required a text",
  tuned: "required a text",
  out: "required a text",
  rank: "a number",
  energy: "a number",
  exact: "true or false",
  dtype: EXTRACT_DTYPES,
  overwrite: "true or false",
  dryRun: "true or false",
};

/** @throws {UsageError} naming the option that is wrong or missing */
export function assertOptions(options: ExtractOptions): void {
  assertOptionKinds("extract", options, OPTION_KINDS);
  const { out } = options;
  assertRankTarget(options);
  if (out.endsWith(".safetensors")) {
    throw new UsageError("expected a folder: rank and alpha stand in adapter_config.json", { subject: out });
  }
}
