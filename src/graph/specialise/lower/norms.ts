/**
 * Normalisations in terms of means and square roots: LayerNorm, RMSNorm and ONNX Runtime's fusions of them with a sum.
 */

import type { GraphBuilder } from "../../builder.ts";
import { floatAttribute, inputOf, intAttribute, type NodeCall, normalAxis, type Value } from "../../call.ts";
import { byRootMeanSquare } from "../../functions.ts";
import type { LowerRule } from "./lower-call.ts";

function layerNorm(
  g: GraphBuilder,
  x: Value,
  axes: readonly number[],
  { epsilon, scale, bias }: { epsilon: number; scale: Value | undefined; bias: Value | undefined },
): Value {
  const normal = byRootMeanSquare(g, g.sub(x, g.reduceMean(x, axes)), axes, epsilon);
  const scaled = scale === undefined ? normal : g.mul(normal, scale);
  return bias === undefined ? scaled : g.add(scaled, bias);
}

/** From `axis`, the last by default, to the end. */
function normalAxes(call: NodeCall, x: Value): readonly number[] {
  const first = normalAxis(call, intAttribute(call, "axis", -1), x.shape.length);
  return [...x.shape.keys()].slice(first);
}

const layerNormalization: LowerRule = (call) => {
  const x = inputOf(call, 0);
  const [, scale, bias] = call.inputs;
  const epsilon = floatAttribute(call, "epsilon", 1e-5);
  return [layerNorm(call.g, x, normalAxes(call, x), { epsilon, scale, bias })];
};

const rmsNormalization: LowerRule = (call) => {
  const [x, scale] = [inputOf(call, 0), inputOf(call, 1)];
  const epsilon = floatAttribute(call, "epsilon", 1e-5);
  return [call.g.mul(byRootMeanSquare(call.g, x, normalAxes(call, x), epsilon), scale)];
};

/** ONNX Runtime's default where a sum is part of the node. */
const SKIP_EPSILON = 1e-12;

/** Input, skip, γ, bias: the sum is the fourth result. */
const skipRms: LowerRule = (call) => {
  const { g } = call;
  const sum = g.add(inputOf(call, 0), inputOf(call, 1));
  const bias = call.inputs[3];
  const x = bias === undefined ? sum : g.add(sum, bias);
  const epsilon = floatAttribute(call, "epsilon", SKIP_EPSILON);
  return [g.mul(byRootMeanSquare(g, x, [x.shape.length - 1], epsilon), inputOf(call, 2)), undefined, undefined, x];
};

/** Input, skip, γ, β, bias: the sum is the fourth result. */
const skipLayer: LowerRule = (call) => {
  const { g } = call;
  const sum = g.add(inputOf(call, 0), inputOf(call, 1));
  const [, , scale, beta, bias] = call.inputs;
  const x = bias === undefined ? sum : g.add(sum, bias);
  const epsilon = floatAttribute(call, "epsilon", SKIP_EPSILON);
  return [layerNorm(g, x, [x.shape.length - 1], { epsilon, scale, bias: beta }), undefined, undefined, x];
};

export const NORMS: Readonly<Record<string, LowerRule>> = {
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  /** ONNX Runtime's own name in ONNX's domain, before opset 23. */
  SimplifiedLayerNormalization: rmsNormalization,
  "com.microsoft.SimplifiedLayerNormalization": rmsNormalization,
  "com.microsoft.SkipSimplifiedLayerNormalization": skipRms,
  "com.microsoft.SkipLayerNormalization": skipLayer,
};
