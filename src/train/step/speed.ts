/**
 * How fast a run computes, from its fastest step: the first ones compile and warm up.
 */

import type { BaseLayer } from "../base/base.ts";
import type { StepEvent } from "../run/events.ts";

/** Forwards, and backwards through frozen weights: two products of 2 · elements operations each. */
const OPERATIONS_PER_ELEMENT = 4;

/**
 * Products with the base's matrices in 10¹² operations a second; attention, adapters and recomputed blocks are not counted.
 */
export function teraflops(layers: readonly BaseLayer[], { positions, seconds }: StepEvent): number {
  const matrices = layers.filter(({ kind }) => kind !== "embedding");
  const elements = matrices.reduce((sum, { inputs, outputs }) => sum + inputs * outputs, 0);
  return (OPERATIONS_PER_ELEMENT * elements * positions) / seconds / 1e12;
}
