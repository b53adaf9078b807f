/**
 * Reshaping, cutting, joining and repeating of values whose sizes are all known.
 */

import { productOf, sameShape } from "../../../core/shape.ts";
import {
  inputOf,
  intAttribute,
  integersOf,
  type NodeCall,
  normalAxis,
  textAttribute,
  unsupported,
  type Value,
  type ValueType,
} from "../../call.ts";
import { INFERENCE_RULES } from "../../infer/infer.ts";
import { permutationOf, splitSizes } from "../../infer/layout.ts";
import { sliceLines } from "../../infer/slice-lines.ts";
import { reshaped } from "../../reshape.ts";
import { blockShape, tupleOffsets } from "../fold/indexing.ts";
import { flatten, tile, triangle } from "../fold/layout.ts";
import { repeatedValue } from "../fold/making.ts";
import { assertPossible } from "../possible.ts";
import { direct, type LowerCall, type LowerRule } from "./lower-call.ts";

/** The same elements in the shape that a rule of inference gives. */
const reshape =
  (infer: (call: NodeCall) => readonly ValueType[]): LowerRule =>
  (call) => {
    const [type] = infer(call);
    return [reshaped(call.g, inputOf(call, 0), type?.shape ?? [])];
  };

const transpose: LowerRule = (call) => {
  const x = inputOf(call, 0);
  return permutationOf(call).every((from, axis) => from === axis) ? [x] : direct(call, [x]);
};

const expand: LowerRule = (call) => {
  const x = inputOf(call, 0);
  const [type] = INFERENCE_RULES.Expand(call);
  const shape = type?.shape ?? [];
  return [sameShape(shape, x.shape) ? x : call.g.expand(x, shape)];
};

const concat: LowerRule = (call) => {
  const [type] = INFERENCE_RULES.Concat(call);
  const axis = normalAxis(call, intAttribute(call, "axis", 0), type?.shape.length ?? 0);
  const parts = call.inputs.filter((input) => input !== undefined && input.shape[axis] !== 0);
  const [only, more] = parts;
  return only !== undefined && more === undefined ? [only] : direct(call, parts);
};

const split: LowerRule = (call) => call.g.split(inputOf(call, 0), splitSizes(call), intAttribute(call, "axis", 0));

/** Steps of 1 as a Slice; any other steps by the indices that they come to. */
const slice: LowerRule = (call) => {
  const { g } = call;
  const x = inputOf(call, 0);
  const lines = sliceLines(call);
  const cut = [...lines.entries()].filter(([axis, { count, step }]) => count !== x.shape[axis] || step < 0);
  const plain = cut.filter(([, { step }]) => step === 1);
  let y = x;
  if (plain.length > 0) {
    const starts = plain.map(([, { start }]) => start);
    y = g.slice(
      y,
      starts,
      plain.map(([, { start, count }]) => start + count),
      plain.map(([axis]) => axis),
    );
  }
  for (const [axis, { start, step, count }] of cut) {
    if (step === 1) continue;
    const indices = g.integers(Array.from({ length: count }, (_, at) => start + at * step));
    y = g.gather(y, indices, axis);
  }
  return [y];
};

const pad: LowerRule = (call) => {
  const mode = textAttribute(call, "mode", "constant");
  if (mode !== "constant") throw unsupported(call, `expected mode constant, got ${mode}`);
  return integersOf(call, 1).every((size) => size === 0) ? [inputOf(call, 0)] : direct(call, call.inputs);
};

/** [2, 3] repeated [4, 5] times: [1, 2, 1, 3], expanded to [4, 2, 5, 3] */
const repeat: LowerRule = (call) => {
  const { g } = call;
  const x = inputOf(call, 0);
  const [type] = tile(call);
  const repeats = integersOf(call, 1);
  if (repeats.every((times) => times === 1)) return [x];
  assertPossible(call, type?.shape ?? []);
  const wide = g.reshape(
    x,
    x.shape.flatMap((size) => [1, size]),
  );
  const repeated = g.expand(
    wide,
    x.shape.flatMap((size, axis) => [repeats[axis] ?? 1, size]),
  );
  return [g.reshape(repeated, type?.shape ?? [])];
};

/** A triangle of a matrix, by a constant of flags. */
const trilu: LowerRule = (call) => {
  const { g } = call;
  const x = inputOf(call, 0);
  const [rows = 1, columns = 1] = x.shape.slice(-2);
  const keeps = triangle(call);
  const bytes = Uint8Array.from({ length: rows * columns }, (_, at) =>
    Number(keeps(Math.floor(at / columns), at % columns)),
  );
  const mask = g.initialiser({
    name: `${call.label}/triangle`,
    dtype: "bool",
    shape: [rows, columns],
    byteLength: bytes.length,
    source: { kind: "memory", bytes },
  });
  return [g.where(mask, x, g.cast(g.scalar(0), x.dtype))];
};

/** Blocks at known tuples of indices: rows of the data with its first axes as one. */
const gatherNd: LowerRule = (call) => {
  const { g } = call;
  const x = inputOf(call, 0);
  const indices = call.constant(1);
  if (indices === undefined) throw unsupported(call, "indices that depend on the inputs");
  const axes = indices.shape.at(-1) ?? 0;
  const offsets = tupleOffsets(call, x.shape, indices);
  const block = x.shape.slice(axes);
  const size = productOf(block);
  const rows = g.reshape(x, [productOf(x.shape.slice(0, axes)), size]);
  const picked = g.gather(rows, g.integers(offsets.map((offset) => offset / Math.max(size, 1))), 0);
  return [g.reshape(picked, blockShape(x.shape, indices.shape))];
};

/** One number repeated, where that is too large to be a constant. */
const constantOfShape: LowerRule = (call: LowerCall): readonly Value[] => {
  const { dtype, value } = repeatedValue(call);
  return [call.g.expand(call.g.cast(call.g.scalar(value), dtype), integersOf(call, 0))];
};

export const LAYOUTS: Readonly<Record<string, LowerRule>> = {
  Reshape: reshape(INFERENCE_RULES.Reshape),
  Squeeze: reshape(INFERENCE_RULES.Squeeze),
  Unsqueeze: reshape(INFERENCE_RULES.Unsqueeze),
  Flatten: reshape(flatten),
  Transpose: transpose,
  Expand: expand,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Tile: repeat,
  Trilu: trilu,
  GatherND: gatherNd,
  ConstantOfShape: constantOfShape,
};
