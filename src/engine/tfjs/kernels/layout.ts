/**
 * Operators that move elements: their sizes and ranges come from the same rules that typed the graph.
 */

import { inputOf, intAttribute, normalAxis } from "../../../graph/call.ts";
import { sizesOf } from "../../../graph/infer/infer.ts";
import { padding, permutationOf, sliceRanges, splitSizes } from "../../../graph/infer/layout.ts";
import { type Kernel, resultShape, tensorOf } from "./kernel-call.ts";

/** Squeeze and Unsqueeze, too: other sizes around the same elements. */
export const reshape: Kernel = (call) => [call.tf.reshape(tensorOf(call, 0), resultShape(call))];

export const shape: Kernel = (call) => [call.tf.tensor1d([...sizesOf(call)], "int32")];

export const transpose: Kernel = (call) => [call.tf.transpose(tensorOf(call, 0), [...permutationOf(call)])];

export const concat: Kernel = (call) => {
  const axis = normalAxis(call, intAttribute(call, "axis", 0), inputOf(call, 0).shape.length);
  return [
    call.tf.concat(
      call.inputs.map((_, index) => tensorOf(call, index)),
      axis,
    ),
  ];
};

export const split: Kernel = (call) => {
  const axis = normalAxis(call, intAttribute(call, "axis", 0), inputOf(call, 0).shape.length);
  return call.tf.split(tensorOf(call, 0), [...splitSizes(call)], axis);
};

export const slice: Kernel = (call) => {
  const ranges = sliceRanges(call);
  const starts = ranges.map(({ start }) => start);
  return [call.tf.slice(tensorOf(call, 0), starts, resultShape(call))];
};

export const pad: Kernel = (call) => {
  const pads = padding(call).map(({ before, after }): [number, number] => [before, after]);
  const value = call.tensor(2)?.dataSync()[0] ?? 0;
  return [call.tf.pad(tensorOf(call, 0), pads, value)];
};

/** The input broadcasts with the sizes that are asked for, in both directions. */
export const expand: Kernel = (call) => [call.tf.broadcastTo(tensorOf(call, 0), resultShape(call))];
