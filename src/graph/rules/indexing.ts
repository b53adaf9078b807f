/**
 * Gradients of picking and placing elements by index: gradients of elements picked more than once add up.
 */

import { productOf } from "../../core/shape.ts";
import { inputOf, intAttribute, normalAxis, textAttribute, unsupported } from "../call.ts";
import { type GradientRule, gradientOf, when, zeros } from "./backward.ts";

/** data [p…, size, q…] by indices [i…] gives [p…, i…, q…]; the gradient is added back along that axis. */
export const gather: GradientRule = (node) => {
  const { g } = node;
  const [data, indices] = [inputOf(node, 0), inputOf(node, 1)];
  const axis = normalAxis(node, intAttribute(node, "axis", 0), data.shape.length);
  const count = productOf(indices.shape);
  const rows = g.reshape(gradientOf(node), data.shape.with(axis, count));
  const line = data.shape.map((_, at) => (at === axis ? count : 1));
  const places = g.expand(g.reshape(indices, line), rows.shape);
  return [g.scatterElements(zeros(g, data.shape), places, rows, axis, true)];
};

export const gatherElements: GradientRule = (node) => {
  const [data, indices] = [inputOf(node, 0), inputOf(node, 1)];
  const axis = intAttribute(node, "axis", 0);
  return [node.g.scatterElements(zeros(node.g, data.shape), indices, gradientOf(node), axis, true)];
};

/** With `add` data passes through; with `none` it is replaced at the indices, which must then not repeat. */
export const scatterElements: GradientRule = (node) => {
  const { g } = node;
  const [indices, updates] = [inputOf(node, 1), inputOf(node, 2)];
  const axis = intAttribute(node, "axis", 0);
  const reduction = textAttribute(node, "reduction", "none");
  if (reduction !== "none" && reduction !== "add") {
    throw unsupported(node, `expected reduction none or add, got ${reduction}`);
  }
  const dy = gradientOf(node);
  return [
    when(node.wants(0), () =>
      reduction === "add" ? dy : g.scatterElements(dy, indices, zeros(g, updates.shape), axis, false),
    ),
    undefined,
    when(node.wants(2), () => g.gatherElements(dy, indices, axis)),
  ];
};
