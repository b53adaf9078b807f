/**
 * The multiplier of an adapter's delta, from alpha and rank: in double precision, as Python computes it.
 */

import type { Convention } from "./adapter.ts";

/**
 * The scale s of W′ = W + s · up · down: alpha / rank, or alpha / √rank under `rslora` (arXiv 2312.03732).
 *
 * @param rank at least 1; of one expert for stacked experts
 */
export function effectiveScale(convention: Convention, alpha: number, rank: number): number {
  return convention === "rslora" ? alpha / Math.sqrt(rank) : alpha / rank;
}

/**
 * The scale of AdaLoRA (PEFT `SVDLinear.get_delta_weight`): alpha / (ranknum + 1e-5), where an alpha of 0 stands for the
 * rank that is left.
 *
 * @param rankNumber the rank before allocation: PEFT keeps the scale of the start of training
 */
export function adaLoraScale(alpha: number, rank: number, rankNumber: number): number {
  return (alpha > 0 ? alpha : rank) / (rankNumber + 1e-5);
}
