/**
 * The gradient of each operator. `none`: the result is no number that changes smoothly, so no gradient passes.
 */

import type { Operator } from "../operators.ts";
import type { GradientRule } from "./backward.ts";
import * as elementwise from "./elementwise.ts";
import * as indexing from "./indexing.ts";
import * as layout from "./layout.ts";
import * as products from "./products.ts";
import * as reductions from "./reductions.ts";

export const GRADIENT_RULES: Readonly<Record<Operator, GradientRule | "none">> = {
  MatMul: products.matMul,
  Gemm: products.gemm,
  Add: elementwise.add,
  Sub: elementwise.sub,
  Mul: elementwise.mul,
  Div: elementwise.div,
  Pow: elementwise.pow,
  Max: elementwise.max,
  Min: elementwise.min,
  Neg: elementwise.neg,
  Sqrt: elementwise.sqrt,
  Reciprocal: elementwise.reciprocal,
  Exp: elementwise.exp,
  Log: elementwise.log,
  Tanh: elementwise.tanh,
  Sigmoid: elementwise.sigmoid,
  Erf: elementwise.erf,
  Cos: elementwise.cos,
  Sin: elementwise.sin,
  Identity: elementwise.identity,
  Cast: elementwise.cast,
  Softmax: reductions.softmax,
  LogSoftmax: reductions.logSoftmax,
  ReduceSum: reductions.reduceSum,
  ReduceMean: reductions.reduceMean,
  ReduceMax: reductions.reduceMax,
  CumSum: reductions.cumSum,
  Shape: "none",
  Reshape: layout.reshape,
  Transpose: layout.transpose,
  Concat: layout.concat,
  Split: layout.split,
  Slice: layout.slice,
  Pad: layout.pad,
  Expand: layout.expand,
  Unsqueeze: layout.reshape,
  Squeeze: layout.reshape,
  Gather: indexing.gather,
  GatherElements: indexing.gatherElements,
  ScatterElements: indexing.scatterElements,
  Where: elementwise.where,
  Equal: "none",
  Less: "none",
  Greater: "none",
  And: "none",
  Not: "none",
};
