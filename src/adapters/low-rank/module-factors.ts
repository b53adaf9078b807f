/**
 * The factors of a module as plain products: one, or one for each of its stacked experts.
 */

import { UnsupportedError } from "../../core/errors.ts";
import type { AdapterModule, ExpertOrder } from "../adapter.ts";
import { type MatrixView, sliceColumns, sliceRows } from "../matrix.ts";
import { type LoraFactors, loraFactors } from "../output/lora-factors.ts";

/** up [outputs, rank] · diag(diagonal) · down [rank, inputs] */
export interface ProductFactors {
  readonly up: MatrixView;
  readonly down: MatrixView;
  readonly diagonal: Float64Array | undefined;
}

export interface ModuleFactors {
  /** All of one shape; the scale of the module is not in them. */
  readonly products: readonly ProductFactors[];
  readonly outputs: number;
  /** Kernels counted. */
  readonly inputs: number;
  /** Dimensions of the layer's weight behind its outputs: [in, kernel …]. */
  readonly inputShape: LoraFactors["inputShape"];
}

/**
 * @param task what needs the factors, as errors say it
 * @param order of stacked experts, where the adapter does not say
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for other kinds of deltas
 */
export function moduleFactors(module: AdapterModule, task: string, order?: ExpertOrder): ModuleFactors {
  const { delta, name } = module;
  if (delta.kind !== "lora") {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${task} needs products of two factors, got ${delta.kind}`, {
      subject: name,
      hint: "merge it into its base, then extract an adapter from the two models",
    });
  }
  const { up, down, inputShape, diagonal } = loraFactors(module, task);
  const shape = { outputs: up.rows, inputs: down.columns, inputShape };
  if (module.kind !== "experts") return { products: [{ up, down, diagonal }], ...shape };
  const { rank, expertLayout } = module;
  const count = down.rows / rank;
  const isRankMajor = (order ?? expertLayout?.order ?? "rank-major") === "rank-major";
  const products = Array.from({ length: count }, (_, expert) => ({
    down: sliceRows(down, expert * rank, rank),
    up: isRankMajor ? sliceColumns(up, expert, rank, count) : sliceColumns(up, expert * rank, rank),
    diagonal: undefined,
  }));
  return { products, ...shape };
}
