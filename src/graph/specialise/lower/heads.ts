/**
 * Rows cut into the heads of attention, and causal masks.
 */

import type { GraphBuilder } from "../../builder.ts";
import { invalid, type NodeCall, type Value } from "../../call.ts";

/** [b, s, heads · size] or [b, heads, s, size] → [b, heads, s, size] */
export function toHeads(call: NodeCall, g: GraphBuilder, x: Value, heads: number): Value {
  if (x.shape.length === 4) return x;
  const [batch = 0, length = 0, width = 0] = x.shape;
  if (x.shape.length !== 3 || heads <= 0 || width % heads !== 0) {
    throw invalid(call, `expected ${heads} heads of equal size, got a width of ${width}`);
  }
  return g.transpose(g.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [b, heads, s, size] → [b, s, heads · size] */
export function toRows(g: GraphBuilder, x: Value): Value {
  const [batch = 0, heads = 0, length = 0, size = 0] = x.shape;
  return g.reshape(g.transpose(x, [0, 2, 1, 3]), [batch, length, heads * size]);
}

export interface CausalMask {
  readonly queries: number;
  readonly keys: number;
  /** Keys that come before the first query. */
  readonly offset: number;
  /** How many tokens back a query sees, itself included; all of them by default. */
  readonly window?: number;
}

/** Flags [queries, keys]: whether query i sees key j, j ≤ i + offset and no further back than the window. */
export function causalMask(g: GraphBuilder, { queries, keys, offset, window }: CausalMask): Value {
  const count = (length: number, first: number) => g.integers(Array.from({ length }, (_, index) => first + index));
  const column = (first: number) => g.unsqueeze(count(queries, first), [1]);
  const key = count(keys, 0);
  const past = g.not(g.greater(key, column(offset)));
  return window === undefined ? past : g.and(past, g.greater(key, column(offset - window)));
}

/** Flags → what is added to scores: 0, or the lowest f32, which unlike −∞ gives no NaN where nothing is seen. */
export function additiveMask(g: GraphBuilder, mask: Value): Value {
  return mask.dtype === "bool" ? g.where(mask, g.scalar(0), g.scalar(LOWEST)) : mask;
}

const LOWEST = -(2 - 2 ** -23) * 2 ** 127;
