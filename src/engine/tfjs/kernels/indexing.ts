/**
 * Picking and placing elements by index. Indices are read here: tfjs-core knows no negative ones, and on some of its
 * backends one that is out of range is no error.
 */

import type { Tensor } from "@tensorflow/tfjs-core";
import { stridesOf } from "../../../core/shape.ts";
import {
  inputOf,
  intAttribute,
  integersOf,
  normalAxis,
  normalIndex,
  textAttribute,
  unsupported,
} from "../../../graph/call.ts";
import { type Kernel, type KernelCall, resultShape, tensorOf } from "./kernel-call.ts";

export const gather: Kernel = (call) => {
  const { tf } = call;
  const [axis, indices] = readIndices(call);
  const shape = [...inputOf(call, 1).shape];
  const places = tf.tensor(Int32Array.from(indices), shape, "int32");
  return [tf.gather(tensorOf(call, 0), places, axis)];
};

export const gatherElements: Kernel = (call) => {
  const { tf } = call;
  const flat = tf.reshape(tensorOf(call, 0), [-1]);
  return [tf.reshape(tf.gather(flat, tf.tensor1d(flatPlaces(call), "int32")), resultShape(call))];
};

export const scatterElements: Kernel = (call) => {
  const { tf } = call;
  const reduction = textAttribute(call, "reduction", "none");
  if (reduction !== "none" && reduction !== "add") {
    throw unsupported(call, `expected reduction none or add, got ${reduction}`);
  }
  const [data, updates] = [tf.reshape(tensorOf(call, 0), [-1]), tf.reshape(tensorOf(call, 2), [-1])];
  if (updates.size === 0) return [tf.clone(tensorOf(call, 0))];
  const places = tf.tensor2d(flatPlaces(call), [updates.size, 1], "int32");
  // scatterND adds up what goes to one place. Not tensorScatterUpdate: the plain backend writes into its input (4.22).
  const placed = (values: Tensor) => tf.scatterND(places, values, [data.size]);
  const result =
    reduction === "add"
      ? tf.add(data, placed(updates))
      : tf.where(tf.greater(placed(tf.ones([updates.size])), 0), placed(updates), data);
  return [tf.reshape(result, resultShape(call))];
};

/** Where each index points to in the first input, whose elements are counted in C order. */
function flatPlaces(call: KernelCall): Int32Array {
  const [axis, indices] = readIndices(call);
  const [data, shape] = [inputOf(call, 0).shape, inputOf(call, 1).shape];
  const [strides, own] = [stridesOf(data), stridesOf(shape)];
  return Int32Array.from(indices, (index, flat) => {
    let place = index * (strides[axis] ?? 0);
    own.forEach((stride, at) => {
      if (at !== axis) place += (Math.floor(flat / stride) % (shape[at] ?? 1)) * (strides[at] ?? 0);
    });
    return place;
  });
}

/** The axis and the indices along it, counted from the front. */
function readIndices(call: KernelCall): readonly [axis: number, indices: readonly number[]] {
  const { shape } = inputOf(call, 0);
  const axis = normalAxis(call, intAttribute(call, "axis", 0), shape.length);
  const size = shape[axis] ?? 0;
  return [axis, integersOf(call, 1).map((index) => normalIndex(call, index, size))];
}
