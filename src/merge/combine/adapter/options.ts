/**
 * What a caller may ask of `combine`.
 */

import { EXPERT_ORDERS, type ExpertOrder } from "../../../adapters/adapter.ts";
import { FACTOR_DTYPES, type FactorDtypeWish } from "../../../adapters/low-rank/factor-dtype.ts";
import { assertProcessor } from "../../../adapters/low-rank/processor-only.ts";
import { UsageError } from "../../../core/errors.ts";
import { assertOptionKinds, type OptionKinds } from "../../../core/option-kinds.ts";
import { POOL_OPTION_KINDS, type PoolOptions } from "../../../engine/worker-pool.ts";
import { type ChosenMethod, chooseMethod, METHOD_OPTION_KINDS, type MethodOptions } from "../options.ts";
import { METHODS } from "../registry.ts";

export interface CombineOptions extends MethodOptions, PoolOptions {
  /** Paths of adapters; `weight` multiplies the delta, default 1. */
  readonly adapters: readonly { readonly path: string; readonly weight?: number | undefined }[];
  /** The folder to write. */
  readonly out: string;
  /** On the factors instead of the deltas, as PEFT's `add_weighted_adapter` does: products across adapters appear. */
  readonly factorWise?: boolean | undefined;
  /** Of the new factors; `keep`: what the adapters have, if nothing is rounded in it. */
  readonly dtype?: FactorDtypeWish | undefined;
  /** Order of the stacked experts in `up`, where the adapters were not made by PEFT. */
  readonly expertOrder?: ExpertOrder | undefined;
  readonly overwrite?: boolean | undefined;
  /** Plan only; what needs a decomposition is decomposed. */
  readonly dryRun?: boolean | undefined;
}

const OPTION_KINDS: OptionKinds<CombineOptions> = {
  ...METHOD_OPTION_KINDS,
  ...POOL_OPTION_KINDS,
  adapters: "required a list of { path, weight? }",
  out: "required a text",
  factorWise: "true or false",
  dtype: FACTOR_DTYPES,
  expertOrder: EXPERT_ORDERS,
  overwrite: "true or false",
  dryRun: "true or false",
};

/**
 * @throws {UsageError} naming the option that is wrong or missing
 * @throws {UnsupportedError} DEVICE_UNAVAILABLE
 */
export function assertOptions(options: CombineOptions): ChosenMethod {
  assertOptionKinds("combine", options, OPTION_KINDS);
  const method = chooseMethod(options);
  const { adapters, out, factorWise, device } = options;
  assertProcessor(device);
  if (adapters.length === 0) throw new UsageError("expected at least one adapter, got none");
  for (const { path, weight = 1 } of adapters) {
    if (!Number.isFinite(weight)) throw new UsageError(`expected a finite weight, got ${weight}`, { subject: path });
  }
  if (out.endsWith(".safetensors")) {
    throw new UsageError("expected a folder: rank, alpha and convention stand in adapter_config.json", {
      subject: out,
    });
  }
  if (factorWise && method.name !== "linear" && METHODS[method.name].kind === "sum") {
    throw new UsageError(`factorWise is for linear and for methods on elements, ${method.name} has one meaning only`);
  }
  if (factorWise && method.rank !== undefined) throw new UsageError("factorWise keeps the rank, so it takes none");
  return method;
}
