/**
 * Elements of constants picked and placed by indices, which are checked: a file may state any.
 */

import { productOf, sameShape, stridesOf } from "../../../core/shape.ts";
import {
  inputOf,
  intAttribute,
  invalid,
  type NodeCall,
  normalAxis,
  normalIndex,
  textAttribute,
  unsupported,
} from "../../call.ts";
import { INFERENCE_RULES } from "../../infer/infer.ts";
import { constantOf, type FoldRule } from "./fold-call.ts";
import { EMPTY } from "./strided.ts";

const gather: FoldRule = {
  infer: INFERENCE_RULES.Gather,
  compute: (call, [result]) => {
    const [data, indices] = [constantOf(call, 0), constantOf(call, 1).numbers];
    const axis = normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
    const size = data.shape[axis] ?? 0;
    const inner = productOf(data.shape.slice(axis + 1));
    const outer = productOf(data.shape.slice(0, axis));
    let at = 0;
    for (let line = 0; line < outer; line++) {
      for (const index of indices) {
        const from = (line * size + normalIndex(call, index, size)) * inner;
        result?.set(data.numbers.subarray(from, from + inner), at);
        at += inner;
      }
    }
  },
};

const gatherElements: FoldRule = {
  infer: INFERENCE_RULES.GatherElements,
  compute: (call, [result = EMPTY]) => {
    const [data, indices] = [constantOf(call, 0), constantOf(call, 1)];
    const axis = normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
    const [own, strides] = [stridesOf(indices.shape), stridesOf(data.shape)];
    for (let at = 0; at < result.length; at++) {
      const from = own.reduce((sum, stride, place) => {
        const size = indices.shape[place] ?? 1;
        const index =
          place === axis
            ? normalIndex(call, indices.numbers[at] ?? 0, data.shape[axis] ?? 0)
            : normalIndex(call, Math.floor(at / stride) % size, data.shape[place] ?? 0);
        return sum + index * (strides[place] ?? 0);
      }, 0);
      result[at] = data.numbers[from] ?? Number.NaN;
    }
  },
};

/** Where each tuple of indices points: the first element of a block of what the tuple leaves of the data's axes. */
export function tupleOffsets(call: NodeCall, data: readonly number[], indices: Indices): readonly number[] {
  const length = indices.shape.at(-1) ?? 0;
  if (indices.shape.length === 0 || length > data.length || intAttribute(call, "batch_dims", 0) !== 0) {
    throw unsupported(call, `expected tuples of up to ${data.length} indices and no batch axes`);
  }
  const strides = stridesOf(data);
  return Array.from({ length: productOf(indices.shape.slice(0, -1)) }, (_, tuple) => {
    let offset = 0;
    for (let place = 0; place < length; place++) {
      const index = indices.numbers[tuple * length + place] ?? 0;
      offset += normalIndex(call, index, data[place] ?? 0) * (strides[place] ?? 0);
    }
    return offset;
  });
}

export interface Indices {
  readonly shape: readonly number[];
  readonly numbers: Float64Array;
}

/** The shape of GatherND's result: one block for each tuple. */
export function blockShape(data: readonly number[], indices: readonly number[]): readonly number[] {
  return [...indices.slice(0, -1), ...data.slice(indices.at(-1) ?? 0)];
}

const gatherNd: FoldRule = {
  infer: (call) => {
    const [data, indices] = [inputOf(call, 0), inputOf(call, 1)];
    return [{ dtype: data.dtype, shape: blockShape(data.shape, indices.shape) }];
  },
  compute: (call, [result]) => {
    const [data, indices] = [constantOf(call, 0), constantOf(call, 1)];
    const block = productOf(data.shape.slice(indices.shape.at(-1) ?? 0));
    for (const [tuple, from] of tupleOffsets(call, data.shape, indices).entries()) {
      result?.set(data.numbers.subarray(from, from + block), tuple * block);
    }
  },
};

/** A copy of the data whose blocks at the indices are replaced. */
const scatterNd: FoldRule = {
  infer: (call) => {
    const [data, indices, updates] = [inputOf(call, 0), inputOf(call, 1), inputOf(call, 2)];
    if (!sameShape(updates.shape, blockShape(data.shape, indices.shape))) throw invalid(call, "updates do not fit");
    return [{ dtype: data.dtype, shape: data.shape }];
  },
  compute: (call, [result]) => {
    if (textAttribute(call, "reduction", "none") !== "none") throw unsupported(call, "expected no reduction");
    const [data, indices, updates] = [constantOf(call, 0), constantOf(call, 1), constantOf(call, 2)];
    const block = productOf(data.shape.slice(indices.shape.at(-1) ?? 0));
    result?.set(data.numbers);
    for (const [tuple, to] of tupleOffsets(call, data.shape, indices).entries()) {
      result?.set(updates.numbers.subarray(tuple * block, (tuple + 1) * block), to);
    }
  },
};

export const INDEXING: Readonly<Record<string, FoldRule>> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterND: scatterNd,
};
