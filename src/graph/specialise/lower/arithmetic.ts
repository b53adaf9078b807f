/**
 * Sums of any number of values, powers, comparisons, casts and reductions in terms of fewer operators.
 */

import { productOf } from "../../../core/shape.ts";
import { DTYPE_ELEMENT_TYPES } from "../../../formats/onnx/element-type.ts";
import type { GraphBuilder } from "../../builder.ts";
import { inputOf, intAttribute, type Value } from "../../call.ts";
import { castDtype, reducedAxes } from "../../infer/infer.ts";
import { reshaped } from "../../reshape.ts";
import { promoted } from "../constant.ts";
import { allInputs, direct, type LowerCall, type LowerRule } from "./lower-call.ts";

const identity: LowerRule = (call) => [inputOf(call, 0)];

const cast: LowerRule = (call) => {
  const x = inputOf(call, 0);
  const to = promoted(castDtype(call));
  if (x.dtype === to) return [x];
  return direct(call, [x], new Map([["to", { kind: "int", value: BigInt(DTYPE_ELEMENT_TYPES[to]) }]]));
};

/** xᵇ; squares and cubes as products, which engines compute much faster. */
const pow: LowerRule = (call) => {
  const { g } = call;
  const [x, given] = [inputOf(call, 0), inputOf(call, 1)];
  const constant = call.constant(1);
  const [exponent, more] = constant !== undefined && constant.elements === 1 ? constant.numbers : [];
  if (exponent !== undefined && more === undefined && given.shape.length <= x.shape.length) {
    if (exponent === 1) return [x];
    if (exponent === 2) return [g.mul(x, x)];
    if (exponent === 3) return [g.mul(g.mul(x, x), x)];
    if (exponent === 0.5) return [g.sqrt(x)];
  }
  return direct(call, [x, g.cast(given, x.dtype)]);
};

const many =
  (join: (g: GraphBuilder) => (a: Value, b: Value) => Value): LowerRule =>
  (call) => [allInputs(call).reduce(join(call.g))];

const mean: LowerRule = (call) => {
  const { g } = call;
  const inputs = allInputs(call);
  return [g.mul(inputs.reduce(g.add), g.scalar(1 / inputs.length))];
};

const or = (g: GraphBuilder, a: Value, b: Value): Value => g.not(g.and(g.not(a), g.not(b)));

const binary =
  (f: (g: GraphBuilder, a: Value, b: Value) => Value): LowerRule =>
  (call) => [f(call.g, inputOf(call, 0), inputOf(call, 1))];

/** A reduction of f(x) over the axes that the node names. */
const reduction =
  (reduce: (g: GraphBuilder, x: Value, axes: readonly number[]) => Value): LowerRule =>
  (call) => {
    const x = inputOf(call, 0);
    const axes = reducedAxes(call);
    const kept = axes.length === 0 ? x : reduce(call.g, x, axes);
    if (intAttribute(call, "keepdims", 1) !== 0) return [kept];
    return [
      reshaped(
        call.g,
        kept,
        kept.shape.filter((_, axis) => !axes.includes(axis)),
      ),
    ];
  };

const sumOfSquares = (g: GraphBuilder, x: Value, axes: readonly number[]): Value => g.reduceSum(g.mul(x, x), axes);

/** Before opset 13 all axes from `axis` on, 1 by default, were one. */
const softmax =
  (apply: (g: GraphBuilder, x: Value, axis: number) => Value): LowerRule =>
  (call: LowerCall) => {
    const { g, opset } = call;
    const x = inputOf(call, 0);
    const given = intAttribute(call, "axis", opset < 13 ? 1 : -1);
    const axis = given < 0 ? given + x.shape.length : given;
    if (opset >= 13 || axis === x.shape.length - 1) return [apply(g, x, given)];
    const rows = g.reshape(x, [productOf(x.shape.slice(0, axis)), -1]);
    return [g.reshape(apply(g, rows, -1), x.shape)];
  };

export const ARITHMETIC: Readonly<Record<string, LowerRule>> = {
  Identity: identity,
  /** Not training, whatever the file says: the base of an adapter stays as it is. */
  Dropout: identity,
  Cast: cast,
  CastLike: (call) => [call.g.cast(inputOf(call, 0), inputOf(call, 1).dtype)],
  Pow: pow,
  Sum: many((g) => g.add),
  Max: many((g) => g.max),
  Min: many((g) => g.min),
  Mean: mean,
  Or: binary(or),
  Xor: binary((g, a, b) => g.not(g.equal(a, b))),
  LessOrEqual: binary((g, a, b) => or(g, g.less(a, b), g.equal(a, b))),
  GreaterOrEqual: binary((g, a, b) => or(g, g.greater(a, b), g.equal(a, b))),
  IsNaN: (call) => [call.g.not(call.g.equal(inputOf(call, 0), inputOf(call, 0)))],
  ReduceSum: reduction((g, x, axes) => g.reduceSum(x, axes)),
  ReduceMean: reduction((g, x, axes) => g.reduceMean(x, axes)),
  ReduceMax: reduction((g, x, axes) => g.reduceMax(x, axes)),
  ReduceMin: reduction((g, x, axes) => g.neg(g.reduceMax(g.neg(x), axes))),
  ReduceSumSquare: reduction(sumOfSquares),
  ReduceL2: reduction((g, x, axes) => g.sqrt(sumOfSquares(g, x, axes))),
  Softmax: softmax((g, x, axis) => g.softmax(x, axis)),
  LogSoftmax: softmax((g, x, axis) => g.logSoftmax(x, axis)),
};
