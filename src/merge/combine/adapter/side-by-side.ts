/**
 * The exact sum of deltas: factors side by side, up [out, Σ rank], down [Σ rank, in]. Stacked experts keep PEFT's order:
 * column j · E + e of `up` is column j of expert e.
 *
 * One scale must stand for all: it is the one under which most factors are multiplied by powers of two, so that their bits
 * stay; the others are rounded once, to f32.
 */

import { sliceColumns } from "../../../adapters/matrix.ts";
import {
  type Block,
  blockOf,
  inF32,
  isExactFactor,
  type OutputTensor,
  stacked,
} from "../../../adapters/output/output-tensor.ts";
import type { MatchedModule, ModulePart } from "./match.ts";

export interface SideBySide {
  readonly rank: number;
  /** Above 0. */
  readonly scale: number;
  readonly up: OutputTensor;
  readonly down: OutputTensor;
}

export function putSideBySide({ name, parts }: MatchedModule): SideBySide {
  const scale = commonScale(parts.map(({ weight }) => weight));
  const [{ factors }] = parts;
  const { outputs, inputs, inputShape } = factors;
  const experts = factors.products.length;
  const rank = parts.reduce((sum, { module }) => sum + module.rank, 0);
  const upBlocks: Block[] = [];
  const downBlocks: Block[] = [];
  let at = 0;
  for (const part of parts) {
    for (const [expert, { down }] of part.factors.products.entries()) {
      upBlocks.push(...upBlocksOf(part, expert, { at, experts, factor: part.weight / scale }));
      downBlocks.push(blockOf(down, { rowStart: expert * rank + at }));
    }
    at += part.module.rank;
  }
  const ones = inputShape.slice(1).map(() => 1);
  return {
    rank,
    scale,
    up: stacked(`${name}.up`, [outputs, rank * experts, ...ones], rank * experts, upBlocks),
    down: computedInF32(stacked(`${name}.down`, [rank * experts, ...inputShape], inputs, downBlocks)),
  };
}

/** Each column has a factor of its own where the adapter has a diagonal (AdaLoRA). */
function upBlocksOf(
  { factors }: ModulePart,
  expert: number,
  { at, experts, factor }: { readonly at: number; readonly experts: number; readonly factor: number },
): Block[] {
  const product = factors.products[expert];
  if (product === undefined) return [];
  const { up, diagonal } = product;
  const columnStart = at * experts + expert;
  if (diagonal === undefined) return [blockOf(up, { factor, columnStart, columnStep: experts })];
  return Array.from(diagonal, (own, column) =>
    blockOf(sliceColumns(up, column, 1), { factor: factor * own, columnStart: columnStart + column * experts }),
  );
}

/** f64 is what factors are computed in on the way (Tucker cores); no adapter stores it. */
function computedInF32(tensor: OutputTensor): OutputTensor {
  return tensor.dtype === "f64" ? inF32(tensor) : tensor;
}

/** Of all weights the one that makes most factors exact, the first of equally good ones; 1 where all are 0. */
function commonScale(weights: readonly number[]): number {
  const sizes = weights.map(Math.abs).filter((weight) => weight > 0);
  const exact = (scale: number) => weights.filter((weight) => isExactFactor(weight / scale)).length;
  return sizes.reduce((best, scale) => (exact(scale) > exact(best) ? scale : best), sizes[0] ?? 1);
}
