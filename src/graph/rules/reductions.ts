/**
 * Gradients of what sums, averages, compares or normalises along axes.
 */

import { inputOf, intAttribute, type Value } from "../call.ts";
import { reducedAxes } from "../infer/infer.ts";
import { type Backward, type GradientRule, gradientOf, outputOf } from "./backward.ts";

/** A result of a reduction with its axes back, as size 1. */
function kept(node: Backward, value: Value): Value {
  const { shape } = inputOf(node, 0);
  const axes = reducedAxes(node);
  return node.g.reshape(
    value,
    shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
  );
}

export const reduceSum: GradientRule = (node) => [node.g.expand(kept(node, gradientOf(node)), inputOf(node, 0).shape)];

export const reduceMean: GradientRule = (node) => {
  const { g } = node;
  const { shape } = inputOf(node, 0);
  const count = reducedAxes(node).reduce((product, axis) => product * (shape[axis] ?? 1), 1);
  return [g.expand(g.mul(kept(node, gradientOf(node)), g.scalar(1 / count)), shape)];
};

/** Shared evenly by all elements that are the largest, as torch.amax does. */
export const reduceMax: GradientRule = (node) => {
  const { g } = node;
  const x = inputOf(node, 0);
  const largest = g.cast(g.equal(x, kept(node, outputOf(node))), "f32");
  const axes = reducedAxes(node);
  // Without axes, ReduceSum would sum over all of them.
  const count = axes.length === 0 ? largest : g.reduceSum(largest, axes);
  return [g.mul(largest, g.div(kept(node, gradientOf(node)), count))];
};

/** ∂x = y ⊙ (∂y − Σ ∂y ⊙ y) */
export const softmax: GradientRule = (node) => {
  const { g } = node;
  const [dy, y] = [gradientOf(node), outputOf(node)];
  const mean = g.reduceSum(g.mul(dy, y), [intAttribute(node, "axis", -1)]);
  return [g.mul(y, g.sub(dy, mean))];
};

/** ∂x = ∂y − e^y ⊙ Σ ∂y */
export const logSoftmax: GradientRule = (node) => {
  const { g } = node;
  const [dy, y] = [gradientOf(node), outputOf(node)];
  const sum = g.reduceSum(dy, [intAttribute(node, "axis", -1)]);
  return [g.sub(dy, g.mul(g.exp(y), sum))];
};

/** A value counts in every sum from its place on: the gradients are added up from the other end. */
export const cumSum: GradientRule = (node) => {
  const axis = inputOf(node, 1);
  const [exclusive, reverse] = [intAttribute(node, "exclusive", 0) !== 0, intAttribute(node, "reverse", 0) === 0];
  return [node.g.cumSum(gradientOf(node), axis, { exclusive, reverse })];
};
