/**
 * One kernel for each operator: its ONNX meaning in operations of tfjs-core.
 */

import type { Operator } from "../../../graph/operators.ts";
import { binary, cast, power, quotient, unary, where } from "./elementwise.ts";
import { gather, gatherElements, scatterElements } from "./indexing.ts";
import type { Kernel } from "./kernel-call.ts";
import { concat, expand, pad, reshape, shape, slice, split, transpose } from "./layout.ts";
import { gemm, matMul } from "./products.ts";
import { cumSum, logSoftmax, reduction, softmax } from "./reductions.ts";

export const KERNELS: Readonly<Record<Operator, Kernel>> = {
  MatMul: matMul,
  Gemm: gemm,
  Add: binary((tf) => tf.add),
  Sub: binary((tf) => tf.sub),
  Mul: binary((tf) => tf.mul),
  Div: quotient,
  Pow: power,
  Max: binary((tf) => tf.maximum),
  Min: binary((tf) => tf.minimum),
  Neg: unary((tf) => tf.neg),
  Sqrt: unary((tf) => tf.sqrt),
  Reciprocal: unary((tf) => tf.reciprocal),
  Exp: unary((tf) => tf.exp),
  Log: unary((tf) => tf.log),
  Tanh: unary((tf) => tf.tanh),
  Sigmoid: unary((tf) => tf.sigmoid),
  Erf: unary((tf) => tf.erf),
  Cos: unary((tf) => tf.cos),
  Sin: unary((tf) => tf.sin),
  Identity: unary((tf) => tf.clone),
  Cast: cast,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  ReduceSum: reduction((tf) => tf.sum),
  ReduceMean: reduction((tf) => tf.mean),
  ReduceMax: reduction((tf) => tf.max),
  CumSum: cumSum,
  Shape: shape,
  Reshape: reshape,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Expand: expand,
  Unsqueeze: reshape,
  Squeeze: reshape,
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  Where: where,
  Equal: binary((tf) => tf.equal),
  Less: binary((tf) => tf.less),
  Greater: binary((tf) => tf.greater),
  And: binary((tf) => tf.logicalAnd),
  Not: unary((tf) => tf.logicalNot),
};
