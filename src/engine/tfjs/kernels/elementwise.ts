/**
 * Operators that work element by element, and casts. Broadcasting in tfjs-core is that of ONNX.
 */

import type { Tensor } from "@tensorflow/tfjs-core";
import type { Tfjs } from "../backend.ts";
import { assertDtype, TFJS_DTYPES } from "../value.ts";
import { assertFloats, type Kernel, tensorOf } from "./kernel-call.ts";

export const unary =
  (pick: (tf: Tfjs) => (x: Tensor) => Tensor): Kernel =>
  (call) => [pick(call.tf)(tensorOf(call, 0))];

export const binary =
  (pick: (tf: Tfjs) => (a: Tensor, b: Tensor) => Tensor): Kernel =>
  (call) => [pick(call.tf)(tensorOf(call, 0), tensorOf(call, 1))];

export const quotient: Kernel = (call) => {
  assertFloats(call);
  return binary((tf) => tf.div)(call);
};

export const power: Kernel = (call) => {
  assertFloats(call);
  return binary((tf) => tf.pow)(call);
};

/** To integers it cuts off fractions, to bool everything but 0 is true: both as ONNX does. */
export const cast: Kernel = (call) => {
  const { dtype = "f32" } = call.results[0] ?? {};
  assertDtype(dtype, call.label);
  return [call.tf.cast(tensorOf(call, 0), TFJS_DTYPES[dtype])];
};

export const where: Kernel = (call) => [call.tf.where(tensorOf(call, 0), tensorOf(call, 1), tensorOf(call, 2))];
