/**
 * Activation functions in terms of exp, tanh, erf and comparisons, with the constants of ONNX.
 */

import type { GraphBuilder } from "../../builder.ts";
import { floatAttribute, inputOf, textAttribute, unsupported, type Value } from "../../call.ts";
import { gelu, geluTanh, relu } from "../../functions.ts";
import type { LowerCall, LowerRule } from "./lower-call.ts";

type Function = (g: GraphBuilder, x: Value, call: LowerCall) => Value;

const unary =
  (f: Function): LowerRule =>
  (call) => [f(call.g, inputOf(call, 0), call)];

const geluOf: Function = (g, x, call) => {
  const approximate = textAttribute(call, "approximate", "none");
  if (approximate === "tanh") return geluTanh(g, x);
  if (approximate === "none") return gelu(g, x);
  throw unsupported(call, `expected approximate none or tanh, got ${approximate}`);
};

/** x·σ(α·x) */
const swish =
  (alpha: number): Function =>
  (g, x, call) => {
    const factor = floatAttribute(call, "alpha", alpha);
    return g.mul(x, g.sigmoid(factor === 1 ? x : g.mul(x, g.scalar(factor))));
  };

/** max(0, min(1, α·x + β)) */
const hardSigmoid = (g: GraphBuilder, x: Value, alpha: number, beta: number): Value => {
  const line = g.add(g.mul(x, g.scalar(alpha)), g.scalar(beta));
  return g.max(g.min(line, g.scalar(1)), g.scalar(0));
};

/** ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|) */
const softplus: Function = (g, x, call) => {
  const size = g.mul(x, sign(g, x, call));
  return g.add(relu(g, x), g.log(g.add(g.exp(g.neg(size)), g.scalar(1))));
};

/** −1, 0 or 1. Its gradient is none, so that of x·sign(x) is the sign. */
const sign: Function = (g, x) => {
  const [positive, negative] = [g.greater(x, g.scalar(0)), g.less(x, g.scalar(0))];
  return g.sub(g.cast(positive, "f32"), g.cast(negative, "f32"));
};

/** Limits may be absent; either of them. */
const clip: LowerRule = (call) => {
  const { g } = call;
  const [, least, most] = call.inputs;
  const above = least === undefined ? inputOf(call, 0) : g.max(inputOf(call, 0), least);
  return [most === undefined ? above : g.min(above, most)];
};

/** An activation of x + bias. */
const biased =
  (f: Function): LowerRule =>
  (call) => {
    const bias = call.inputs[1];
    const x = inputOf(call, 0);
    return [f(call.g, bias === undefined ? x : call.g.add(x, bias), call)];
  };

export const ACTIVATIONS: Readonly<Record<string, LowerRule>> = {
  Relu: unary(relu),
  LeakyRelu: unary((g, x, call) =>
    g.where(g.greater(x, g.scalar(0)), x, g.mul(x, g.scalar(floatAttribute(call, "alpha", 0.01)))),
  ),
  HardSigmoid: unary((g, x, call) =>
    hardSigmoid(g, x, floatAttribute(call, "alpha", 0.2), floatAttribute(call, "beta", 0.5)),
  ),
  HardSwish: unary((g, x) => g.mul(x, hardSigmoid(g, x, 1 / 6, 0.5))),
  Softplus: unary(softplus),
  Mish: unary((g, x, call) => g.mul(x, g.tanh(softplus(g, x, call)))),
  Swish: unary(swish(1)),
  Gelu: unary(geluOf),
  Abs: unary((g, x, call) => g.mul(x, sign(g, x, call))),
  Sign: unary(sign),
  Clip: clip,
  "com.microsoft.Gelu": unary(gelu),
  "com.microsoft.QuickGelu": unary(swish(1.702)),
  "com.microsoft.FastGelu": biased(geluTanh),
  "com.microsoft.BiasGelu": biased(gelu),
};
