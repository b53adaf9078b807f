/** Values in other shapes, where they do not have them already. */

import { type Shape, sameShape } from "../core/shape.ts";
import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";

/** Itself where it has the shape. */
export function reshaped(g: GraphBuilder, value: Value, shape: Shape): Value {
  return sameShape(value.shape, shape) ? value : g.reshape(value, shape);
}

/** [..., k] → [rows, k] */
export function asRows(g: GraphBuilder, value: Value): Value {
  return value.shape.length === 2 ? value : g.reshape(value, [-1, value.shape.at(-1) ?? 0]);
}
