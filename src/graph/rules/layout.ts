/**
 * Gradients of the operators that move, cut, join or repeat elements.
 */

import { inputOf, intAttribute, normalAxis, unsupported, type Value } from "../call.ts";
import { padding, permutationOf, sliceRanges } from "../infer/layout.ts";
import { type GradientRule, gradientOf, sumTo, zeros } from "./backward.ts";

/** Reshape, Squeeze and Unsqueeze: the same elements in the same order. */
export const reshape: GradientRule = (node) => [node.g.reshape(gradientOf(node), inputOf(node, 0).shape)];

export const transpose: GradientRule = (node) => {
  const order = permutationOf(node);
  const inverse = order.map((_, axis) => order.indexOf(axis));
  return [node.g.transpose(gradientOf(node), inverse)];
};

export const expand: GradientRule = (node) => [sumTo(node.g, gradientOf(node), inputOf(node, 0).shape)];

export const concat: GradientRule = (node) => {
  const dy = gradientOf(node);
  const axis = normalAxis(node, intAttribute(node, "axis", 0), dy.shape.length);
  const sizes = node.inputs.map((input) => input?.shape[axis] ?? 0);
  return node.g.split(dy, sizes, axis);
};

export const split: GradientRule = (node) => {
  const { g } = node;
  const axis = normalAxis(node, intAttribute(node, "axis", 0), inputOf(node, 0).shape.length);
  const parts = node.outputs.map((output, index): Value => node.gradients[index] ?? zeros(g, output.shape));
  return [g.concat(parts, axis)];
};

export const slice: GradientRule = (node) => {
  const { shape } = inputOf(node, 0);
  const ranges = sliceRanges(node);
  const before = ranges.map(({ start }) => start);
  const after = ranges.map(({ end }, axis) => (shape[axis] ?? 0) - end);
  return [node.g.pad(gradientOf(node), [...before, ...after])];
};

export const pad: GradientRule = (node) => {
  if (node.wants(2)) throw unsupported(node, "a trainable padding value");
  const { shape } = inputOf(node, 0);
  const starts = padding(node).map(({ before }) => before);
  const ends = starts.map((start, axis) => start + (shape[axis] ?? 0));
  return [node.g.slice(gradientOf(node), starts, ends, [...shape.keys()])];
};
