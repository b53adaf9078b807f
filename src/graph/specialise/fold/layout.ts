/**
 * Constants moved, cut, joined and repeated.
 */

import { productOf, stridesOf } from "../../../core/shape.ts";
import { inputOf, intAttribute, integersOf, invalid, type NodeCall, normalAxis, type ValueType } from "../../call.ts";
import { INFERENCE_RULES } from "../../infer/infer.ts";
import { permutationOf, splitSizes } from "../../infer/layout.ts";
import { sliceLines } from "../../infer/slice-lines.ts";
import { constantOf, type FoldCall, type FoldRule } from "./fold-call.ts";
import { broadcastNumbers, copyStrided, EMPTY } from "./strided.ts";

const copied = (infer: FoldRule["infer"]): FoldRule => ({
  infer,
  compute: (call, [result]) => result?.set(constantOf(call, 0).numbers),
});

/** [a, b, c, d] with axis 2 → [a·b, c·d] */
export function flatten(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const given = intAttribute(call, "axis", 1);
  const axis = given === shape.length ? given : normalAxis(call, given, shape.length);
  return [{ dtype, shape: [productOf(shape.slice(0, axis)), productOf(shape.slice(axis))] }];
}

export function tile(call: NodeCall): ValueType[] {
  const { dtype, shape } = inputOf(call, 0);
  const repeats = integersOf(call, 1);
  if (repeats.length !== shape.length || repeats.some((repeat) => repeat < 0)) {
    throw invalid(call, `expected ${shape.length} repeats, got [${repeats}]`);
  }
  return [{ dtype, shape: shape.map((size, axis) => size * (repeats[axis] ?? 1)) }];
}

const transpose: FoldRule = {
  infer: INFERENCE_RULES.Transpose,
  compute: (call, [result = EMPTY], [type]) => {
    const { shape, numbers } = constantOf(call, 0);
    const strides = stridesOf(shape);
    const order = permutationOf(call).map((axis) => strides[axis] ?? 0);
    copyStrided(numbers, result, type?.shape ?? [], order);
  },
};

const slice: FoldRule = {
  infer: (call) => [{ dtype: inputOf(call, 0).dtype, shape: sliceLines(call).map(({ count }) => count) }],
  compute: (call, [result = EMPTY], [type]) => {
    const { shape, numbers } = constantOf(call, 0);
    const strides = stridesOf(shape);
    const lines = sliceLines(call);
    const offset = lines.reduce((sum, { start }, axis) => sum + start * (strides[axis] ?? 0), 0);
    const steps = lines.map(({ step }, axis) => step * (strides[axis] ?? 0));
    copyStrided(numbers, result, type?.shape ?? [], steps, offset);
  },
};

const expand: FoldRule = {
  infer: INFERENCE_RULES.Expand,
  compute: (call, [result], [type]) => result?.set(broadcastNumbers(constantOf(call, 0), type?.shape ?? [])),
};

/** [2, 3] repeated [4, 5] times is [1, 2, 1, 3] expanded to [4, 2, 5, 3]. */
const repeated: FoldRule = {
  infer: tile,
  compute: (call, [result]) => {
    const { shape, numbers } = constantOf(call, 0);
    const repeats = integersOf(call, 1);
    const single = shape.flatMap((size) => [1, size]);
    const wanted = shape.flatMap((size, axis) => [repeats[axis] ?? 1, size]);
    result?.set(broadcastNumbers({ shape: single, numbers }, wanted));
  },
};

/** Copies parts between a tensor and the pieces that it is cut into along an axis. */
function forEachPiece(call: FoldCall, whole: readonly number[], sizes: readonly number[], visit: Visit): void {
  const axis = normalAxis(call, intAttribute(call, "axis", 0), whole.length);
  const inner = productOf(whole.slice(axis + 1));
  const outer = productOf(whole.slice(0, axis));
  const row = (whole[axis] ?? 0) * inner;
  let before = 0;
  sizes.forEach((size, piece) => {
    for (let line = 0; line < outer; line++)
      visit(piece, line * row + before * inner, line * size * inner, size * inner);
    before += size;
  });
}

type Visit = (piece: number, inWhole: number, inPiece: number, length: number) => void;

const concat: FoldRule = {
  infer: INFERENCE_RULES.Concat,
  compute: (call, [result], [type]) => {
    const whole = type?.shape ?? [];
    const axis = normalAxis(call, intAttribute(call, "axis", 0), whole.length);
    const sizes = call.inputs.map((input) => input?.shape[axis] ?? 0);
    forEachPiece(call, whole, sizes, (piece, inWhole, inPiece, length) =>
      result?.set(constantOf(call, piece).numbers.subarray(inPiece, inPiece + length), inWhole),
    );
  },
};

const split: FoldRule = {
  infer: INFERENCE_RULES.Split,
  compute: (call, results) => {
    const { shape, numbers } = constantOf(call, 0);
    forEachPiece(call, shape, splitSizes(call), (piece, inWhole, inPiece, length) =>
      results[piece]?.set(numbers.subarray(inWhole, inWhole + length), inPiece),
    );
  },
};

const trilu: FoldRule = {
  infer: INFERENCE_RULES.Identity,
  compute: (call, [result = EMPTY]) => {
    const { shape, numbers } = constantOf(call, 0);
    const keeps = triangle(call);
    const [rows = 1, columns = 1] = shape.slice(-2);
    for (let at = 0; at < result.length; at++) {
      const [row, column] = [Math.floor(at / columns) % rows, at % columns];
      result[at] = keeps(row, column) ? (numbers[at] ?? 0) : 0;
    }
  },
};

/** What a Trilu keeps. */
export function triangle(call: NodeCall): (row: number, column: number) => boolean {
  const [diagonal = 0] = call.integers(1) ?? [];
  const isUpper = intAttribute(call, "upper", 1) !== 0;
  return (row, column) => (isUpper ? column - row >= diagonal : column - row <= diagonal);
}

export const LAYOUT: Readonly<Record<string, FoldRule>> = {
  Reshape: copied(INFERENCE_RULES.Reshape),
  Squeeze: copied(INFERENCE_RULES.Squeeze),
  Unsqueeze: copied(INFERENCE_RULES.Unsqueeze),
  Flatten: copied(flatten),
  Transpose: transpose,
  Slice: slice,
  Expand: expand,
  Tile: repeated,
  Concat: concat,
  Split: split,
  Trilu: trilu,
};
