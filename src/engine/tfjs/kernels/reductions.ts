/**
 * Sums, means and largest elements over axes, and what is made of them along one axis.
 */

import type { Tensor } from "@tensorflow/tfjs-core";
import { inputOf, intAttribute, integersOf, normalAxis } from "../../../graph/call.ts";
import { reducedAxes } from "../../../graph/infer/infer.ts";
import type { Tfjs } from "../backend.ts";
import { assertFloats, type Kernel, type KernelCall, resultShape, tensorOf } from "./kernel-call.ts";

export const reduction =
  (pick: (tf: Tfjs) => (x: Tensor, axes: number[]) => Tensor): Kernel =>
  (call) => {
    if (call.operator === "ReduceMean") assertFloats(call);
    const axes = [...reducedAxes(call)];
    const x = tensorOf(call, 0);
    // tfjs-core takes no axes for all axes.
    return [axes.length === 0 ? call.tf.clone(x) : call.tf.reshape(pick(call.tf)(x, axes), resultShape(call))];
  };

/** e^(x − max) / Σ e^(x − max) */
export const softmax: Kernel = (call) => {
  const { tf } = call;
  const axis = axisOf(call);
  const exponentials = tf.exp(belowLargest(call, axis));
  return [tf.div(exponentials, tf.sum(exponentials, axis, true))];
};

/** x − max − log Σ e^(x − max) */
export const logSoftmax: Kernel = (call) => {
  const { tf } = call;
  const axis = axisOf(call);
  const x = belowLargest(call, axis);
  return [tf.sub(x, tf.log(tf.sum(tf.exp(x), axis, true)))];
};

function belowLargest(call: KernelCall, axis: number): Tensor {
  const x = tensorOf(call, 0);
  return call.tf.sub(x, call.tf.max(x, axis, true));
}

function axisOf(call: KernelCall): number {
  return normalAxis(call, intAttribute(call, "axis", -1), inputOf(call, 0).shape.length);
}

export const cumSum: Kernel = (call) => {
  const [given = 0] = integersOf(call, 1);
  const axis = normalAxis(call, given, inputOf(call, 0).shape.length);
  const flag = (name: string) => intAttribute(call, name, 0) !== 0;
  return [call.tf.cumsum(tensorOf(call, 0), axis, flag("exclusive"), flag("reverse"))];
};
