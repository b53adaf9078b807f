/**
 * What a gradient rule is given, and what rules share.
 *
 * For a node y = f(x₀, x₁, …) and a loss L, a rule turns ∂L/∂y into ∂L/∂xᵢ by adding nodes. Gradients are f32 and have the
 * shape of their value.
 */

import { type Shape, sameShape } from "../../core/shape.ts";
import { repeatedAxes } from "../broadcast.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Call, Value } from "../call.ts";

export interface Backward extends Call {
  readonly g: GraphBuilder;
  readonly outputs: readonly Value[];
  /** ∂L/∂ of each output; `undefined` where the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** Whether an input leads to a trainable tensor; rules spend nothing on the others. */
  wants(index: number): boolean;
}

/** ∂L/∂ of each input, at least of those wanted. */
export type GradientRule = (node: Backward) => readonly (Value | undefined)[];

/** ∂L/∂y of a node with one output. */
export function gradientOf(node: Backward): Value {
  const [gradient] = node.gradients;
  if (gradient === undefined) throw new Error(`${node.operator} has no gradient to pass on`);
  return gradient;
}

/** y of a node with one output. */
export function outputOf(node: Backward): Value {
  const [output] = node.outputs;
  if (output === undefined) throw new Error(`${node.operator} has no output`);
  return output;
}

/** The sum over axes along which a value of `shape` was repeated to take part. */
export function sumTo(g: GraphBuilder, gradient: Value, shape: Shape): Value {
  const axes = repeatedAxes(shape, gradient.shape);
  const sum = axes.length === 0 ? gradient : g.reduceSum(gradient, axes);
  return sameShape(sum.shape, shape) ? sum : g.reshape(sum, shape);
}

/** The gradient where it is wanted. */
export function when(wanted: boolean, make: () => Value): Value | undefined {
  return wanted ? make() : undefined;
}

export function zeros(g: GraphBuilder, shape: Shape): Value {
  return g.expand(g.scalar(0), shape);
}
