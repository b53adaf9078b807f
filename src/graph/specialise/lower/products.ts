/**
 * Products of vectors, fused products and Einsum as products of matrices.
 */

import { productOf } from "../../../core/shape.ts";
import { floatAttribute, inputOf, intAttribute, invalid, textAttribute, unsupported, type Value } from "../../call.ts";
import { reshaped } from "../../reshape.ts";
import { swapLastAxes } from "../../swap-last-axes.ts";
import { allInputs, direct, type LowerCall, type LowerRule } from "./lower-call.ts";

/** A vector on the left is a row, on the right a column, and its axis goes again. */
const matMul: LowerRule = (call) => {
  const { g } = call;
  const [a, b] = [inputOf(call, 0), inputOf(call, 1)];
  if (a.shape.length > 1 && b.shape.length > 1) return direct(call, [a, b]);
  const left = a.shape.length === 1 ? g.unsqueeze(a, [0]) : a;
  const right = b.shape.length === 1 ? g.unsqueeze(b, [1]) : b;
  const y = g.matMul(left, right);
  const rank = y.shape.length;
  const gone = [...(a.shape.length === 1 ? [rank - 2] : []), ...(b.shape.length === 1 ? [rank - 1] : [])];
  return [g.squeeze(y, gone)];
};

/** α · a · b, with the last two axes of either swapped. */
const fusedMatMul: LowerRule = (call) => {
  const { g } = call;
  if (intAttribute(call, "transBatchA", 0) !== 0 || intAttribute(call, "transBatchB", 0) !== 0) {
    throw unsupported(call, "transposed batches");
  }
  const turned = (x: Value, name: string) => (intAttribute(call, name, 0) === 0 ? x : swapLastAxes(g, x));
  const y = g.matMul(turned(inputOf(call, 0), "transA"), turned(inputOf(call, 1), "transB"));
  const alpha = floatAttribute(call, "alpha", 1);
  return [alpha === 1 ? y : g.mul(y, g.scalar(alpha))];
};

/**
 * Two operands, each label once in an operand: labels of both and of the result are batches, of both alone are summed
 * over, of one alone stay as they are. "bhid,bhjd->bhij" is a batch of matrices by transposed ones.
 */
const einsum: LowerRule = (call) => {
  const { g } = call;
  const [a, b, more] = allInputs(call);
  const equation = textAttribute(call, "equation", "").replaceAll(" ", "");
  const parsed = /^([A-Za-z]+),([A-Za-z]+)->([A-Za-z]*)$/.exec(equation);
  if (parsed === null || a === undefined || b === undefined || more !== undefined) {
    throw unsupported(call, `expected an equation of two operands, got ${JSON.stringify(equation)}`);
  }
  const [left, right, result] = parsed.slice(1).map((labels) => [...labels]) as [string[], string[], string[]];
  const sizes = sizesOf(call, [left, a], [right, b]);
  const batch = left.filter((label) => right.includes(label) && result.includes(label));
  const inner = left.filter((label) => right.includes(label) && !result.includes(label));
  const rows = left.filter((label) => !right.includes(label));
  const columns = right.filter((label) => !left.includes(label));
  const made = [...batch, ...rows, ...columns];
  if (
    made.length !== result.length ||
    new Set(result).size !== result.length ||
    !made.every((one) => result.includes(one))
  ) {
    throw unsupported(call, `expected each label once, got ${JSON.stringify(equation)}`);
  }
  const size = (label: string) => sizes.get(label) ?? 0;
  const count = (labels: readonly string[]) => productOf(labels.map(size));
  const matrix = (x: Value, from: readonly string[], [second, third]: readonly (readonly string[])[]) => {
    const order = [...batch, ...(second ?? []), ...(third ?? [])].map((label) => from.indexOf(label));
    const sorted = order.every((axis, at) => axis === at) ? x : g.transpose(x, order);
    return reshaped(g, sorted, [count(batch), count(second ?? []), count(third ?? [])]);
  };
  const product = g.matMul(matrix(a, left, [rows, inner]), matrix(b, right, [inner, columns]));
  const y = reshaped(g, product, made.map(size));
  const order = result.map((label) => made.indexOf(label));
  return [order.every((axis, at) => axis === at) ? y : g.transpose(y, order)];
};

function sizesOf(call: LowerCall, ...operands: readonly (readonly [readonly string[], Value])[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [labels, { shape }] of operands) {
    if (labels.length !== shape.length || new Set(labels).size !== labels.length) {
      throw unsupported(call, `expected a label for each axis of [${shape}], got ${labels.join("")}`);
    }
    labels.forEach((label, axis) => {
      const size = shape[axis] ?? 0;
      if ((sizes.get(label) ?? size) !== size) throw invalid(call, `label ${label} has two sizes`);
      sizes.set(label, size);
    });
  }
  return sizes;
}

export const PRODUCTS: Readonly<Record<string, LowerRule>> = {
  MatMul: matMul,
  "com.microsoft.FusedMatMul": fusedMatMul,
  Einsum: einsum,
};
