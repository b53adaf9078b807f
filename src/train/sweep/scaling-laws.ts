/**
 * What theory says of the first step at different ranks, and the exponent that measured numbers have: y ≈ c · rank^exponent.
 */

import type { Convention } from "../../adapters/adapter.ts";
import type { OptimizerName } from "../optimise/optimizer.ts";

/**
 * Exponent of ‖∂L/∂up‖ in the rank while up = 0. With down uniform in ±1/√in,
 * E‖∂L/∂up‖² = s² · ‖∂L/∂y‖² · rank · ‖x‖² / (3 · in), so that the norm goes as s · √rank.
 */
export const FIRST_NORM_EXPONENTS: Readonly<Record<Convention, number>> = { lora: -0.5, rslora: 0 };

/** Least squares on logarithms; `undefined` for fewer than two ranks, or numbers that have no logarithm. */
export function fitExponent(points: readonly (readonly [rank: number, value: number])[]): number | undefined {
  const logs = points.map(([rank, value]) => [Math.log(rank), Math.log(value)] as const);
  if (!logs.flat().every(Number.isFinite)) return undefined;
  const count = logs.length;
  const [meanX, meanY] = [0, 1].map((at) => logs.reduce((sum, log) => sum + (log[at] ?? 0), 0) / count);
  const deviation = logs.reduce((sum, [x]) => sum + (x - (meanX ?? 0)) ** 2, 0);
  if (count < 2 || deviation === 0) return undefined;
  return logs.reduce((sum, [x, y]) => sum + (x - (meanX ?? 0)) * (y - (meanY ?? 0)), 0) / deviation;
}

/**
 * How far the first step moves the adapted layer's output, up to a factor that does not depend on the rank. SGD moves up by
 * −lr · gradient: s² · rank. Adam moves every entry of up by lr: s · rank.
 */
export const FIRST_MOVES: Readonly<Record<OptimizerName, (scale: number, rank: number) => number>> = {
  sgd: (scale, rank) => scale ** 2 * rank,
  adamw: (scale, rank) => scale * rank,
};
