/** Nodes of constants, as exporters compute sizes, positions and masks with them. */

import { type Case, flags, floats, int, ints, known, list, sizes, tensorOf, x } from "./one-node.ts";

const a = ints([2, 3], 7, -7, 3, 0, -1, 9);
const b = ints([3], 2, 2, -4);
const binary: readonly Case[] = [
  { title: "integers, broadcast", inputs: [a, b] },
  { title: "floats", inputs: [x(2, 2), x(2, 1)] },
];
const compared: readonly Case[] = binary.map((row) => ({ ...row, result: "bool" }));
const logical: readonly Case[] = [
  { title: "flags, broadcast", inputs: [flags([2, 2], 0, 1, 1, 0), flags([1, 2], 1, 0)], result: "bool" },
];
const reduced: readonly Case[] = [
  { title: "integers, all axes", inputs: [a], attributes: { keepdims: int(0) } },
  { title: "integers, one axis kept", inputs: [a, sizes(0)] },
  {
    title: "an axis in the middle",
    inputs: [ints([2, 2, 2], 1, 5, 3, 4, 7, 2, 8, 6), sizes(1)],
    attributes: { keepdims: int(0) },
  },
];
const tensor = (input: ReturnType<typeof ints>) => ({ kind: "tensor", value: tensorOf("", input) }) as const;

export const FOLDED: Readonly<Record<string, readonly Case[]>> = {
  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: [
    { title: "integers, towards zero", inputs: [a, b] },
    { title: "floats", inputs: [x(2, 2), floats([], 3)] },
  ],
  Mod: [
    { title: "the sign of the divisor", inputs: [a, b] },
    { title: "the sign of the dividend", inputs: [a, b], attributes: { fmod: int(1) } },
  ],
  Min: binary,
  Max: [...binary, { title: "three", inputs: [a, b, ints([2, 1], 5, -5)] }, { title: "one", inputs: [a] }],
  Neg: [{ title: "integers", inputs: [a] }],
  Abs: [{ title: "integers", inputs: [a] }],
  Sign: [{ title: "integers", inputs: [a] }],
  Floor: [{ title: "floats", inputs: [floats([4], -1.5, 1.5, 2, -0.25)] }],
  Ceil: [{ title: "floats", inputs: [floats([3], -1.5, 1.5, 2)] }],
  Round: [{ title: "ties to even", inputs: [floats([6], -1.5, 0.5, 1.5, 2.5, 2.6, -0.75)] }],
  Sqrt: [{ title: "floats", inputs: [floats([2], 2, 64)] }],
  Reciprocal: [{ title: "floats", inputs: [floats([2], 3, 8)] }],
  Identity: [{ title: "integers", inputs: [a] }],
  Cast: [
    { title: "floats to integers", inputs: [floats([3], 1.9, -1.9, 3)], attributes: { to: int(7) }, result: "i64" },
    { title: "integers to flags", inputs: [a], attributes: { to: int(9) }, result: "bool" },
    { title: "integers to floats", inputs: [a], attributes: { to: int(1) }, result: "f32" },
  ],
  Where: [{ title: "broadcast", inputs: [flags([2, 1], 1, 0), a, ints([], 5)], result: "i64" }],
  Equal: compared,
  Less: compared,
  Greater: compared,
  LessOrEqual: compared,
  GreaterOrEqual: compared,
  And: logical,
  Or: logical,
  Xor: logical,
  Not: [{ title: "flags", inputs: [flags([2], 0, 1)] }],
  Reshape: [{ title: "a free size", inputs: [a, sizes(3, -1)] }],
  Squeeze: [
    { title: "named axes", inputs: [ints([1, 3, 1], 1, 2, 3), sizes(0)] },
    { title: "axes of an attribute", inputs: [ints([1, 3, 1], 1, 2, 3)], attributes: { axes: list(-1) }, opset: 11 },
  ],
  Unsqueeze: [
    { title: "two axes", inputs: [b, sizes(0, -1)] },
    { title: "axes of an attribute", inputs: [b], attributes: { axes: list(1) }, opset: 12 },
  ],
  Flatten: [
    { title: "at an axis", inputs: [ints([1, 2, 3], 1, 2, 3, 4, 5, 6)], attributes: { axis: int(2) } },
    { title: "at the end", inputs: [a], attributes: { axis: int(2) } },
  ],
  Transpose: [{ title: "a cycle", inputs: [ints([1, 2, 3], 1, 2, 3, 4, 5, 6)], attributes: { perm: list(1, 2, 0) } }],
  Slice: [
    { title: "from the end", inputs: [a, sizes(-2), sizes(2 ** 62), sizes(1)] },
    { title: "steps backwards", inputs: [a, sizes(-1), sizes(-(2 ** 62)), sizes(-1), sizes(-2)] },
    { title: "steps of 2", inputs: [a, sizes(0), sizes(3), sizes(1), sizes(2)] },
    { title: "attributes", inputs: [a], attributes: { starts: list(0, 1), ends: list(1, 9) }, opset: 9 },
    { title: "nothing", inputs: [a, sizes(2), sizes(1), sizes(1)] },
  ],
  Expand: [{ title: "both ways", inputs: [ints([2, 1], 1, 2), sizes(3, 1, 2)] }],
  Tile: [{ title: "both axes", inputs: [a, sizes(2, 3)] }],
  Concat: [
    { title: "the last axis", inputs: [a, ints([2, 1], 5, 6)], attributes: { axis: int(-1) } },
    { title: "one part", inputs: [b], attributes: { axis: int(0) } },
  ],
  Split: [
    { title: "given sizes", inputs: [a, sizes(1, 2)], attributes: { axis: int(1) }, outputs: 2 },
    {
      title: "sizes of an attribute",
      inputs: [a],
      attributes: { axis: int(1), split: list(2, 1) },
      outputs: 2,
      opset: 11,
    },
  ],
  Trilu: [
    { title: "upper", inputs: [ints([2, 2, 2], 1, 2, 3, 4, 5, 6, 7, 8)] },
    { title: "lower, above the diagonal", inputs: [a, known(ints([], 1))], attributes: { upper: int(0) } },
    { title: "upper, below the diagonal", inputs: [ints([3, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9), known(ints([], -1))] },
  ],
  Gather: [
    { title: "columns", inputs: [a, ints([2, 1], 2, -3)], attributes: { axis: int(1) } },
    { title: "one row", inputs: [a, ints([], -1)] },
  ],
  GatherElements: [{ title: "the second axis", inputs: [a, ints([2, 2], 0, 2, -1, 1)], attributes: { axis: int(1) } }],
  GatherND: [
    { title: "elements", inputs: [a, ints([2, 2], 0, 1, 1, -1)] },
    { title: "rows", inputs: [a, ints([2, 1], 1, 0)] },
  ],
  ScatterND: [{ title: "rows", inputs: [a, ints([1, 1], 1), ints([1, 3], 4, 5, 6)] }],
  Range: [
    { title: "up", inputs: [ints([], 2), ints([], 9), ints([], 3)] },
    { title: "down", inputs: [floats([], 1), floats([], -1), floats([], -0.5)] },
    { title: "nothing", inputs: [ints([], 2), ints([], 2), ints([], 1)] },
  ],
  ConstantOfShape: [
    { title: "zeros", inputs: [sizes(2, 3)], result: "f32" },
    { title: "a number", inputs: [ints([1], 2)], attributes: { value: tensor(ints([1], -1)) } },
    { title: "a scalar flag", inputs: [ints([0])], attributes: { value: tensor(flags([1], 1)) }, result: "bool" },
  ],
  NonZero: [{ title: "a matrix", inputs: [a], result: "i64" }],
  Shape: [
    { title: "all", inputs: [x(2, 3)], result: "i64" },
    { title: "some", inputs: [x(2, 3, 4)], attributes: { start: int(-2), end: int(-1) }, result: "i64" },
  ],
  Size: [{ title: "a matrix", inputs: [x(2, 3)], result: "i64" }],
  CumSum: [
    { title: "the last axis", inputs: [a, known(ints([], 1))] },
    {
      title: "exclusive, from the end",
      inputs: [a, known(ints([], 0))],
      attributes: { exclusive: int(1), reverse: int(1) },
    },
  ],
  ReduceSum: reduced,
  ReduceProd: reduced.map((row) => ({ ...row, opset: 18 })),
  ReduceMax: reduced,
  ReduceMin: [
    ...reduced,
    { title: "axes of an attribute", inputs: [a], attributes: { axes: list(1), keepdims: int(0) }, opset: 13 },
  ],
  ReduceMean: [{ title: "floats", inputs: [floats([2, 2], 1, 2, 3, 4), sizes(0)] }],
};
