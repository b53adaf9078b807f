/**
 * Operator, inputs and attributes → dtypes and shapes of the results, one rule for each operator.
 *
 * Stricter than ONNX where that is no loss: floats are computed in one dtype. Refused: shapes and dtypes that do not fit
 * (`INVALID_MODEL`), and forms of an operator that have no gradient rule here (`UNSUPPORTED_OPERATOR`).
 */

import type { Dtype } from "../../core/dtype.ts";
import { formatShape, type Shape, sameShape } from "../../core/shape.ts";
import { dtypeOfElementType } from "../../formats/onnx/element-type.ts";
import { broadcastShapes } from "../broadcast.ts";
import { inputOf, intAttribute, invalid, type NodeCall, normalAxis, unsupported, type ValueType } from "../call.ts";
import type { Operator } from "../operators.ts";
import { concat, expand, pad, reshape, slice, split, squeeze, transpose, unsqueeze } from "./layout.ts";

type InferenceRule = (call: NodeCall) => ValueType[];

export const INFERENCE_RULES: Readonly<Record<Operator, InferenceRule>> = {
  MatMul: matMul,
  Gemm: gemm,
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Pow: elementwise,
  Max: elementwise,
  Min: elementwise,
  Neg: same,
  Sqrt: same,
  Reciprocal: same,
  Exp: same,
  Log: same,
  Tanh: same,
  Sigmoid: same,
  Erf: same,
  Cos: same,
  Sin: same,
  Identity: same,
  Cast: cast,
  Softmax: alongAxis,
  LogSoftmax: alongAxis,
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  CumSum: same,
  Shape: shapeOf,
  Reshape: reshape,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Expand: expand,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  Where: where,
  Equal: compare,
  Less: compare,
  Greater: compare,
  And: compare,
  Not: same,
};

function same(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  return [{ dtype, shape }];
}

/** The shape that all broadcast to; there is at least one. */
export function broadcast(call: NodeCall, shapes: readonly Shape[]): Shape {
  return shapes.reduce((a, b) => {
    const shape = broadcastShapes(a, b);
    if (shape === undefined) throw invalid(call, `${formatShape(a)} and ${formatShape(b)} do not broadcast`);
    return shape;
  });
}

function elementwise(call: NodeCall): ValueType[] {
  const [a, b] = [inputOf(call, 0), inputOf(call, 1)];
  if (a.dtype !== b.dtype) throw invalid(call, `expected one dtype, got ${a.dtype} and ${b.dtype}`);
  return [{ dtype: a.dtype, shape: broadcast(call, [a.shape, b.shape]) }];
}

function compare(call: NodeCall): ValueType[] {
  return elementwise(call).map(({ shape }) => ({ dtype: "bool", shape }));
}

function where(call: NodeCall): ValueType[] {
  const [condition, a, b] = [inputOf(call, 0), inputOf(call, 1), inputOf(call, 2)];
  if (condition.dtype !== "bool" || a.dtype !== b.dtype) {
    throw invalid(call, `expected bool and one dtype, got ${condition.dtype}, ${a.dtype} and ${b.dtype}`);
  }
  return [{ dtype: a.dtype, shape: broadcast(call, [condition.shape, a.shape, b.shape]) }];
}

function cast(call: NodeCall): ValueType[] {
  return [{ dtype: castDtype(call), shape: inputOf(call, 0).shape }];
}

/** What a Cast casts to. */
export function castDtype(call: NodeCall): Dtype {
  const dtype = dtypeOfElementType(intAttribute(call, "to", 0));
  if (dtype === undefined) throw invalid(call, "the dtype to cast to does not exist");
  return dtype;
}

function alongAxis(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  normalAxis(call, intAttribute(call, "axis", -1), shape.length);
  return [{ dtype, shape }];
}

/** The axes that a reduction removes: all by default, none when told so. */
export function reducedAxes(call: NodeCall): readonly number[] {
  const { shape } = inputOf(call, 0);
  const axes = call.integers(1)?.map((axis) => normalAxis(call, axis, shape.length)) ?? [];
  if (axes.length > 0) return axes;
  return intAttribute(call, "noop_with_empty_axes", 0) === 0 ? [...shape.keys()] : [];
}

/** The sizes of the axes `start` to `end` − 1; of all by default. */
export function sizesOf(call: NodeCall): Shape {
  const { shape } = inputOf(call, 0);
  return shape.slice(intAttribute(call, "start", 0), intAttribute(call, "end", shape.length));
}

function shapeOf(call: NodeCall): ValueType[] {
  return [{ dtype: "i64", shape: [sizesOf(call).length] }];
}

function reduce(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const axes = reducedAxes(call);
  const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const keeps = intAttribute(call, "keepdims", 1) !== 0;
  return [{ dtype, shape: keeps ? kept : kept.filter((_, axis) => !axes.includes(axis)) }];
}

/** [..., m, k] · [..., k, n]; leading axes broadcast. Vectors, which ONNX allows, are not handled. */
function matMul(call: NodeCall): ValueType[] {
  const [a, b] = [inputOf(call, 0), inputOf(call, 1)];
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw unsupported(call, `expected matrices, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`);
  }
  if (a.shape.at(-1) !== b.shape.at(-2) || a.dtype !== b.dtype) {
    throw invalid(call, `${a.dtype} ${formatShape(a.shape)} does not multiply ${b.dtype} ${formatShape(b.shape)}`);
  }
  const batch = broadcast(call, [a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  return [{ dtype: a.dtype, shape: [...batch, a.shape.at(-2) ?? 0, b.shape.at(-1) ?? 0] }];
}

function gemm(call: NodeCall): ValueType[] {
  const [a, b] = [inputOf(call, 0), inputOf(call, 1)];
  const [m, k] = intAttribute(call, "transA", 0) === 0 ? a.shape : a.shape.toReversed();
  const [inner, n] = intAttribute(call, "transB", 0) === 0 ? b.shape : b.shape.toReversed();
  if (a.shape.length !== 2 || b.shape.length !== 2 || k !== inner || a.dtype !== b.dtype) {
    throw invalid(call, `${a.dtype} ${formatShape(a.shape)} does not multiply ${b.dtype} ${formatShape(b.shape)}`);
  }
  const shape = [m ?? 0, n ?? 0];
  const summand = call.inputs[2];
  if (summand !== undefined && !sameShape(broadcast(call, [summand.shape, shape]), shape)) {
    throw invalid(call, `${formatShape(summand.shape)} does not broadcast to ${formatShape(shape)}`);
  }
  return [{ dtype: a.dtype, shape }];
}

function gather(call: NodeCall): ValueType[] {
  const [data, indices] = [inputOf(call, 0), inputOf(call, 1)];
  const axis = normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
  return [{ dtype: data.dtype, shape: data.shape.toSpliced(axis, 1, ...indices.shape) }];
}

function gatherElements(call: NodeCall): ValueType[] {
  const [data, indices] = [inputOf(call, 0), inputOf(call, 1)];
  normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
  if (data.shape.length !== indices.shape.length) {
    throw invalid(call, `expected indices of ${data.shape.length} axes, got ${formatShape(indices.shape)}`);
  }
  return [{ dtype: data.dtype, shape: indices.shape }];
}

function scatterElements(call: NodeCall): ValueType[] {
  const [data, indices, updates] = [inputOf(call, 0), inputOf(call, 1), inputOf(call, 2)];
  gatherElements(call);
  if (!sameShape(indices.shape, updates.shape) || data.dtype !== updates.dtype) {
    throw invalid(call, `updates do not fit: ${updates.dtype} ${formatShape(updates.shape)}`);
  }
  return [{ dtype: data.dtype, shape: data.shape }];
}
