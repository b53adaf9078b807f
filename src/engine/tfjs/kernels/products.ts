/**
 * Matrix products. tfjs-core multiplies batches of one rank whose leading sizes are equal, or 1 on one side.
 */

import type { Tensor } from "@tensorflow/tfjs-core";
import { sameShape } from "../../../core/shape.ts";
import { floatAttribute, intAttribute } from "../../../graph/call.ts";
import { type Kernel, type KernelCall, resultShape, tensorOf } from "./kernel-call.ts";

/** [..., m, k] · [..., k, n]; a single matrix on the right takes the rows of a whole batch at once. */
export const matMul: Kernel = (call) => {
  const { tf } = call;
  const [a, b] = [tensorOf(call, 0), tensorOf(call, 1)];
  const shape = resultShape(call);
  if (b.rank === 2) {
    const rows = tf.reshape(a, [-1, a.shape.at(-1) ?? 0]);
    return [tf.reshape(tf.matMul(rows, b), shape)];
  }
  const batch = shape.slice(0, -2);
  return [tf.matMul(spread(call, a, batch), spread(call, b, batch))];
};

/** The matrices repeated over all leading axes of the result. */
function spread({ tf }: KernelCall, x: Tensor, batch: readonly number[]): Tensor {
  const target = [...batch, ...x.shape.slice(-2)];
  return sameShape(x.shape, target) ? x : tf.broadcastTo(x, target);
}

/** alpha · A · B + beta · C, either matrix turned. */
export const gemm: Kernel = (call) => {
  const { tf } = call;
  const turned = (name: string) => intAttribute(call, name, 0) !== 0;
  const product = tf.matMul(tensorOf(call, 0), tensorOf(call, 1), turned("transA"), turned("transB"));
  const scaled = times(call, product, "alpha");
  const summand = call.tensor(2);
  return [summand === undefined ? scaled : tf.add(scaled, times(call, summand, "beta"))];
};

function times(call: KernelCall, x: Tensor, factor: string): Tensor {
  const value = floatAttribute(call, factor, 1);
  return value === 1 ? x : call.tf.mul(x, value);
}
