/**
 * Functions of one value that models are made of and ONNX's older operator sets lack, with PyTorch's constants.
 */

import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";

/** x for x > 0, else 0, where the gradient is 0, too, as in PyTorch. */
export function relu(g: GraphBuilder, x: Value): Value {
  return g.where(g.greater(x, g.scalar(0)), x, g.scalar(0));
}

/** ½·x·(1 + erf(x/√2)) */
export function gelu(g: GraphBuilder, x: Value): Value {
  const half = g.mul(x, g.scalar(0.5));
  return g.mul(half, g.add(g.erf(g.mul(x, g.scalar(Math.SQRT1_2))), g.scalar(1)));
}

/** ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) */
export function geluTanh(g: GraphBuilder, x: Value): Value {
  const cubic = g.mul(g.mul(g.mul(x, x), x), g.scalar(0.044715));
  const inner = g.mul(g.add(x, cubic), g.scalar(Math.sqrt(2 / Math.PI)));
  return g.mul(g.mul(x, g.scalar(0.5)), g.add(g.tanh(inner), g.scalar(1)));
}

/** cap·tanh(x/cap): within ±cap. */
export function softcapped(g: GraphBuilder, x: Value, cap: number): Value {
  return g.mul(g.tanh(g.mul(x, g.scalar(1 / cap))), g.scalar(cap));
}

/** x / √(mean of squares + ε), over the axes */
export function byRootMeanSquare(g: GraphBuilder, x: Value, axes: readonly number[], epsilon: number): Value {
  const mean = g.reduceMean(g.mul(x, x), axes);
  return g.mul(x, g.reciprocal(g.sqrt(g.add(mean, g.scalar(epsilon)))));
}
