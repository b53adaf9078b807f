/**
 * Gradients of matrix products.
 *
 * A weight [k, n] that all leading axes share is multiplied as one matrix of rows, with Gemm's own transposition, so that
 * no transposed copy of a weight is ever made.
 */

import { floatAttribute, inputOf, intAttribute, type Value } from "../call.ts";
import { asRows, reshaped } from "../reshape.ts";
import { swapLastAxes } from "../swap-last-axes.ts";
import { type GradientRule, gradientOf, sumTo, when } from "./backward.ts";

/** y = a · b: ∂a = ∂y · bᵀ, ∂b = aᵀ · ∂y */
export const matMul: GradientRule = (node) => {
  const { g } = node;
  const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
  const dy = gradientOf(node);
  if (b.shape.length === 2) {
    const rows = asRows(g, dy);
    return [
      when(node.wants(0), () => reshaped(g, g.gemm(rows, b, { transposeRight: true }), a.shape)),
      when(node.wants(1), () => g.gemm(asRows(g, a), rows, { transposeLeft: true })),
    ];
  }
  return [
    when(node.wants(0), () => sumTo(g, g.matMul(dy, swapLastAxes(g, b)), a.shape)),
    when(node.wants(1), () => sumTo(g, g.matMul(swapLastAxes(g, a), dy), b.shape)),
  ];
};

/** y = α·a·b + β·c, where a and b may be stored transposed. */
export const gemm: GradientRule = (node) => {
  const { g } = node;
  const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
  const left = intAttribute(node, "transA", 0) !== 0;
  const right = intAttribute(node, "transB", 0) !== 0;
  const dy = gradientOf(node);
  const scaled = (product: Value, by: "alpha" | "beta") => {
    const factor = floatAttribute(node, by, 1);
    return factor === 1 ? product : g.mul(product, g.scalar(factor));
  };
  const byA = () =>
    left ? g.gemm(b, dy, { transposeLeft: right, transposeRight: true }) : g.gemm(dy, b, { transposeRight: !right });
  const byB = () =>
    right ? g.gemm(dy, a, { transposeLeft: true, transposeRight: left }) : g.gemm(a, dy, { transposeLeft: !left });
  const c = node.inputs[2];
  return [
    when(node.wants(0), () => scaled(byA(), "alpha")),
    when(node.wants(1), () => scaled(byB(), "alpha")),
    c && when(node.wants(2), () => scaled(sumTo(g, dy, c.shape), "beta")),
  ];
};
