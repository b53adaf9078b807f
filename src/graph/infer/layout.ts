/**
 * Result types of the operators that move elements: reshaping, joining, cutting, repeating.
 */

import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import { broadcastShapes } from "../broadcast.ts";
import {
  inputOf,
  intAttribute,
  integersOf,
  intsAttribute,
  invalid,
  type NodeCall,
  normalAxis,
  textAttribute,
  unsupported,
  type ValueType,
} from "../call.ts";
import { sliceLines } from "./slice-lines.ts";

/** Reshape: 0 keeps a size (unless `allowzero`), −1 takes what is left. */
export function reshape(call: NodeCall): ValueType[] {
  const { dtype, shape: before } = inputOf(call, 0);
  const wanted = integersOf(call, 1);
  const keep = intAttribute(call, "allowzero", 0) === 0;
  const sizes = wanted.map((size, axis) => (size === 0 && keep ? (before[axis] ?? 0) : size));
  const count = elementCount(before) ?? 0;
  const known = elementCount(sizes.filter((size) => size !== -1)) ?? 0;
  const shape = sizes.map((size) => (size === -1 ? count / known : size));
  if (
    wanted.filter((size) => size === -1).length > 1 ||
    !shape.every(Number.isInteger) ||
    elementCount(shape) !== count
  ) {
    throw invalid(call, `expected ${count} elements, got shape ${formatShape(wanted)}`);
  }
  return [{ dtype, shape }];
}

/** The order of axes; all of them reversed by default. */
export function permutationOf(call: NodeCall): readonly number[] {
  const { shape } = inputOf(call, 0);
  const order = intsAttribute(call, "perm") ?? [...shape.keys()].reverse();
  if (order.length !== shape.length || new Set(order).size !== order.length || order.some((axis) => !(axis in shape))) {
    throw invalid(call, `expected an order of ${shape.length} axes, got ${formatShape(order)}`);
  }
  return order;
}

export function transpose(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  return [{ dtype, shape: permutationOf(call).map((axis) => shape[axis] ?? 0) }];
}

export function concat(call: NodeCall): ValueType[] {
  const first = inputOf(call, 0);
  const axis = normalAxis(call, intAttribute(call, "axis", 0), first.shape.length);
  let size = 0;
  for (let index = 0; index < call.inputs.length; index++) {
    const { dtype, shape } = inputOf(call, index);
    if (dtype !== first.dtype || !sameButFor(shape, first.shape, axis)) {
      throw invalid(call, `inputs differ: ${first.dtype} ${formatShape(first.shape)}, ${dtype} ${formatShape(shape)}`);
    }
    size += shape[axis] ?? 0;
  }
  return [{ dtype: first.dtype, shape: first.shape.with(axis, size) }];
}

function sameButFor(a: Shape, b: Shape, axis: number): boolean {
  return a.length === b.length && a.every((size, at) => at === axis || size === b[at]);
}

/** Sizes of the parts of a Split: given, or equal with a smaller last one. */
export function splitSizes(call: NodeCall): readonly number[] {
  const { shape } = inputOf(call, 0);
  const total = shape[normalAxis(call, intAttribute(call, "axis", 0), shape.length)] ?? 0;
  const given = call.integers(1);
  const part = Math.ceil(total / call.outputCount);
  const sizes = given ?? Array.from({ length: call.outputCount }, (_, index) => Math.min(part, total - index * part));
  if (
    sizes.length !== call.outputCount ||
    sizes.some((size) => size < 0) ||
    sizes.reduce((a, b) => a + b, 0) !== total
  ) {
    throw invalid(call, `expected ${call.outputCount} parts of ${total}, got ${formatShape(sizes)}`);
  }
  return sizes;
}

export function split(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const axis = normalAxis(call, intAttribute(call, "axis", 0), shape.length);
  return splitSizes(call).map((size) => ({ dtype, shape: shape.with(axis, size) }));
}

/** First index and that behind the last of a Slice on each axis; steps other than 1 are not handled. */
export function sliceRanges(call: NodeCall): readonly { readonly start: number; readonly end: number }[] {
  return sliceLines(call).map(({ start, step, count }) => {
    if (step !== 1) throw unsupported(call, `expected steps of 1, got ${step}`);
    return { start, end: start + count };
  });
}

export function slice(call: NodeCall): ValueType[] {
  return [{ dtype: inputOf(call, 0).dtype, shape: sliceRanges(call).map(({ start, end }) => end - start) }];
}

/** Elements added before and after each axis by a Pad of constants. */
export function padding(call: NodeCall): readonly { readonly before: number; readonly after: number }[] {
  const { shape } = inputOf(call, 0);
  const pads = integersOf(call, 1);
  const axes = call.integers(3) ?? [...shape.keys()];
  const mode = textAttribute(call, "mode", "constant");
  if (mode !== "constant") throw unsupported(call, `expected mode constant, got ${mode}`);
  if (pads.length !== 2 * axes.length) throw invalid(call, `expected ${2 * axes.length} pads, got ${pads.length}`);
  if (pads.some((pad) => pad < 0)) throw unsupported(call, `expected pads of 0 and more, got ${formatShape(pads)}`);
  const result = shape.map(() => ({ before: 0, after: 0 }));
  axes.forEach((axis, index) => {
    const ends = { before: pads[index] ?? 0, after: pads[index + axes.length] ?? 0 };
    result[normalAxis(call, axis, shape.length)] = ends;
  });
  return result;
}

export function pad(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  return [{ dtype, shape: padding(call).map(({ before, after }, axis) => before + (shape[axis] ?? 0) + after) }];
}

export function expand(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const wanted = integersOf(call, 1);
  const result = broadcastShapes(shape, wanted);
  if (result === undefined) {
    throw invalid(call, `${formatShape(shape)} does not broadcast to ${formatShape(wanted)}`);
  }
  return [{ dtype, shape: result }];
}

export function unsqueeze(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const given = integersOf(call, 1);
  const axes = new Set(given.map((axis) => normalAxis(call, axis, shape.length + given.length)));
  if (axes.size !== given.length) throw invalid(call, `axes repeat: ${formatShape(given)}`);
  const sizes = [...shape];
  for (const axis of [...axes].sort((a, b) => a - b)) sizes.splice(axis, 0, 1);
  return [{ dtype, shape: sizes }];
}

export function squeeze(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const ones = [...shape.keys()].filter((axis) => shape[axis] === 1);
  const axes = call.integers(1)?.map((axis) => normalAxis(call, axis, shape.length)) ?? ones;
  if (axes.some((axis) => shape[axis] !== 1)) throw invalid(call, `axes of ${formatShape(shape)} are not all 1`);
  return [{ dtype, shape: shape.filter((_, axis) => !axes.includes(axis)) }];
}
