/**
 * Which tokens see which, as what is added to the scores.
 *
 * A token sees the tokens of its own segment that stand before it, and itself; with a window only the nearest of them.
 * Padding is a segment of its own, so that no row is without a token and no row is a division by zero.
 */

import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";

/** Far below any score, and far from the end of f32. */
const HIDDEN = -1e30;

/**
 * @param segments i64 [b, s]
 * @returns f32 [b, 1, s, s]: 0 where a row may see a column
 */
export function buildMask(g: GraphBuilder, segments: Value, window: number | undefined): Value {
  const ones = g.expand(g.scalar(1), g.shape(segments, 1, 2));
  const places = g.cumSum(ones, g.integer(0));
  const distance = g.sub(g.unsqueeze(places, [1]), g.unsqueeze(places, [0]));
  let near = g.not(g.less(distance, g.scalar(0)));
  if (window !== undefined) near = g.and(near, g.less(distance, g.scalar(window)));
  // Devices compare f32, and not all of them i64.
  const numbers = g.cast(segments, "f32");
  const together = g.equal(g.unsqueeze(numbers, [2]), g.unsqueeze(numbers, [1]));
  return g.where(g.unsqueeze(g.and(together, near), [1]), g.scalar(0), g.scalar(HIDDEN));
}
