/**
 * What a caller may ask of `rescale`, and which wishes go together.
 */

import { CONVENTIONS, type Convention, EXPERT_ORDERS, type ExpertOrder } from "../adapters/adapter.ts";
import { UsageError } from "../core/errors.ts";
import { assertOptionKinds, type OptionKinds, RUN_OPTION_KINDS } from "../core/option-kinds.ts";
import type { RunOptions } from "../core/progress.ts";

export interface RescaleOptions extends RunOptions {
  /** An adapter of any layout: a folder, or a weights file with its settings beside it; or an `.onnx` graph with LoRA branches. */
  readonly adapter: string;
  readonly to: Convention;
  /** The folder to write, for layouts of one file the file. */
  readonly out: string;
  /** Fold every scale into `up` and its bias, and leave scale 1: alpha = rank, under rslora alpha = √rank. */
  readonly bake?: boolean | undefined;
  /** With `bake` or `alpha`: pad all modules to the highest rank with zeros, so that no patterns are needed. */
  readonly flatten?: boolean | undefined;
  /** This alpha for every module; what is left of its scale is folded into `up` and its bias. */
  readonly alpha?: number | undefined;
  /** Order of the stacked experts in `up`, where PEFT did not write it; counts for `flatten` only. */
  readonly expertOrder?: ExpertOrder | undefined;
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
}

const OPTION_KINDS: OptionKinds<RescaleOptions> = {
  ...RUN_OPTION_KINDS,
  adapter: "required a text",
  to: { required: CONVENTIONS },
  out: "required a text",
  bake: "true or false",
  flatten: "true or false",
  alpha: "a number",
  expertOrder: EXPERT_ORDERS,
  overwrite: "true or false",
  dryRun: "true or false",
};

/** @throws {UsageError} naming the options that are wrong or exclude each other */
export function assertOptions(options: RescaleOptions): void {
  assertOptionKinds("rescale", options, OPTION_KINDS);
  const { bake, flatten, alpha } = options;
  if (alpha !== undefined && !(alpha > 0 && Number.isFinite(alpha))) {
    throw new UsageError(`expected an alpha above 0, got ${alpha}`);
  }
  if (bake && alpha !== undefined) {
    throw new UsageError("bake and alpha exclude each other: bake leaves scale 1, whatever the alpha");
  }
  if (flatten && !bake && alpha === undefined) {
    throw new UsageError("flatten needs bake or alpha: one rank and one alpha leave one scale for all modules");
  }
}
