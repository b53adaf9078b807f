/** Nodes whose inputs are fed, as exporters write layers with them. */

import { type Case, flags, float, floats, int, ints, known, list, positive, sizes, text, x } from "./one-node.ts";

const MS = { domain: "com.microsoft" } as const;
const unary: readonly Case[] = [{ title: "a matrix", inputs: [x(2, 5)] }];
const flagPairs: readonly Case[] = [{ title: "flags", inputs: [flags([4], 0, 1, 0, 1), flags([4], 0, 0, 1, 1)] }];
const comparisons: readonly Case[] = [
  { title: "numbers", inputs: [floats([4], 1, 2, 3, Number.NaN), floats([4], 2, 2, 1, 1)], result: "bool" },
];
const reductions: readonly Case[] = [
  { title: "the last axis", inputs: [x(2, 3), sizes(-1)] },
  { title: "two axes, removed", inputs: [x(2, 3, 2), sizes(0, 2)], attributes: { keepdims: int(0) } },
  { title: "axes of an attribute", inputs: [x(2, 3)], attributes: { axes: list(1) }, opset: 11 },
];
const cos = (...shape: number[]) => floats(shape, ...x(...shape).data.map(Math.cos));
const sin = (...shape: number[]) => floats(shape, ...x(...shape).data.map(Math.sin));

export const LOWERED: Readonly<Record<string, readonly Case[]>> = {
  Relu: unary,
  LeakyRelu: unary,
  HardSigmoid: unary,
  HardSwish: unary,
  Softplus: unary,
  Mish: [{ title: "a matrix", inputs: [x(2, 5)], opset: 18 }],
  Gelu: [...unary, { title: "by tanh", inputs: [x(2, 5)], attributes: { approximate: text("tanh") } }],
  Abs: unary,
  Sign: [{ title: "integers of floats", inputs: [floats([3], -2, 0, 3)], isFlat: true }],
  Clip: [
    { title: "both limits", inputs: [x(2, 5), known(floats([], -0.25)), known(floats([], 0.5))] },
    { title: "only the upper", inputs: [x(2, 5), undefined, known(floats([], 0.5))] },
    { title: "limits of attributes", inputs: [x(2, 5)], attributes: { min: float(-0.25), max: float(0.5) }, opset: 6 },
  ],
  LayerNormalization: [
    { title: "scale and bias", inputs: [x(2, 3, 4), x(4), x(4)] },
    { title: "two axes", inputs: [x(2, 3, 4), x(3, 4)], attributes: { axis: int(1), epsilon: float(0.01) } },
  ],
  SimplifiedLayerNormalization: [{ title: "scale", inputs: [x(2, 4), x(4)], attributes: { epsilon: float(1e-6) } }],
  RMSNormalization: [{ title: "scale", inputs: [x(2, 4), x(4)], attributes: { epsilon: float(1e-6) }, opset: 23 }],
  Pow: [
    { title: "squares", inputs: [x(2, 3), known(floats([], 2))] },
    { title: "cubes", inputs: [x(2, 3), known(floats([], 3))] },
    { title: "roots", inputs: [positive(2, 3), known(floats([1], 0.5))] },
    { title: "an exponent of integers", inputs: [positive(2, 3), known(ints([], 4))] },
    { title: "an exponent of higher rank", inputs: [x(3), known(floats([1, 1, 1], 2))] },
  ],
  Sum: [{ title: "three", inputs: [x(2, 3), x(3), x(2, 1)] }],
  Mean: [{ title: "three", inputs: [x(2, 3), x(3), x(2, 1)] }],
  Max: [{ title: "three", inputs: [x(2, 3), x(3), x(2, 1)] }],
  Min: [{ title: "one", inputs: [x(2, 3)] }],
  Or: flagPairs,
  Xor: flagPairs,
  LessOrEqual: comparisons,
  GreaterOrEqual: comparisons,
  IsNaN: [{ title: "numbers", inputs: [floats([3], 1, Number.NaN, Number.POSITIVE_INFINITY)], result: "bool" }],
  ReduceSum: reductions,
  ReduceMean: reductions,
  ReduceMax: reductions,
  ReduceMin: reductions,
  ReduceL2: reductions,
  ReduceSumSquare: reductions,
  Softmax: [
    { title: "all axes from the second, as it was", inputs: [x(2, 3, 2)], opset: 11 },
    { title: "one axis", inputs: [x(2, 3, 2)], attributes: { axis: int(1) } },
  ],
  LogSoftmax: [
    { title: "all axes from the first, as it was", inputs: [x(2, 3)], attributes: { axis: int(0) }, opset: 12 },
  ],
  Dropout: [{ title: "not training", inputs: [x(2, 3), known(floats([], 0.5))] }],
  Flatten: [{ title: "at an axis", inputs: [x(2, 3, 4)], attributes: { axis: int(-1) } }],
  Transpose: [{ title: "nothing", inputs: [x(2, 3)], attributes: { perm: list(0, 1) } }],
  Expand: [{ title: "nothing", inputs: [x(2, 3), sizes(1, 3)] }],
  Concat: [{ title: "an empty part", inputs: [known(x(2, 0)), x(2, 3)], attributes: { axis: int(1) } }],
  Split: [{ title: "equal parts", inputs: [x(2, 4)], attributes: { axis: int(1), num_outputs: int(2) }, outputs: 2 }],
  Slice: [
    {
      title: "steps of 2 on one axis, a range of the other",
      inputs: [x(4, 5), sizes(1, 0), sizes(3, 5), sizes(0, 1), sizes(1, 2)],
    },
    { title: "backwards", inputs: [x(4, 3), sizes(-1), sizes(-(2 ** 62)), sizes(0), sizes(-1)] },
    { title: "nothing left out", inputs: [x(4, 3), sizes(0), sizes(2 ** 62), sizes(0)] },
  ],
  Pad: [
    { title: "both sides", inputs: [x(2, 3), sizes(0, 1, 1, 0)] },
    { title: "pads of an attribute", inputs: [x(2, 3)], attributes: { pads: list(1, 0, 0, 1) }, opset: 10 },
  ],
  Tile: [{ title: "both axes", inputs: [x(2, 3), sizes(2, 2)] }],
  Trilu: [
    { title: "lower", inputs: [x(2, 3, 3)], attributes: { upper: int(0) } },
    { title: "above the diagonal", inputs: [x(3, 4), known(ints([], 1))] },
  ],
  GatherND: [
    { title: "elements", inputs: [x(2, 3), known(ints([3, 2], 0, 1, 1, -1, 0, 1))] },
    { title: "rows", inputs: [x(2, 3, 2), known(ints([2, 2], 1, 0, 1, 2))] },
  ],
  MatMul: [
    { title: "a row", inputs: [x(3), x(3, 2)] },
    { title: "a column", inputs: [x(2, 2, 3), x(3)] },
    { title: "vectors", inputs: [x(3), x(3)] },
  ],
  Einsum: [
    { title: "scores", inputs: [x(2, 2, 3, 2), x(2, 2, 4, 2)], attributes: { equation: text("bhid,bhjd->bhij") } },
    { title: "an outer product", inputs: [x(3), x(2)], attributes: { equation: text("i,j->ij") } },
    { title: "another order", inputs: [x(2, 3), x(3, 4)], attributes: { equation: text("ik, kj -> ji") } },
  ],
  RotaryEmbedding: [
    { title: "halves", inputs: [x(2, 2, 3, 4), cos(2, 3, 2), sin(2, 3, 2)], opset: 23 },
    {
      title: "neighbours, by positions, of rows",
      inputs: [x(2, 3, 8), cos(5, 2), sin(5, 2), ints([2, 3], 0, 1, 2, 4, 0, 3)],
      attributes: { interleaved: int(1), num_heads: int(2) },
      opset: 23,
    },
    {
      title: "a part of each head",
      inputs: [x(1, 2, 3, 6), cos(1, 3, 1), sin(1, 3, 1)],
      attributes: { rotary_embedding_dim: int(2) },
      opset: 23,
    },
  ],
  Attention: [
    { title: "one key head for each", inputs: [x(2, 2, 3, 4), x(2, 2, 5, 4), x(2, 2, 5, 4)], opset: 23 },
    {
      title: "shared key heads, causal, capped",
      inputs: [x(1, 4, 3, 2), x(1, 2, 3, 2), x(1, 2, 3, 2)],
      attributes: { is_causal: int(1), softcap: float(0.5), scale: float(0.7) },
      opset: 23,
    },
    {
      title: "rows, masked by flags",
      inputs: [x(1, 3, 4), x(1, 3, 4), x(1, 3, 4), flags([3, 3], 1, 0, 0, 1, 1, 0, 0, 1, 1)],
      attributes: { q_num_heads: int(2), kv_num_heads: int(2) },
      opset: 23,
    },
    { title: "masked by numbers", inputs: [x(1, 2, 2, 2), x(1, 2, 3, 2), x(1, 2, 3, 2), x(2, 3)], opset: 23 },
  ],
};

/** ONNX Runtime's own. */
export const RUNTIME: Readonly<Record<string, readonly Case[]>> = {
  Gelu: [{ title: "a matrix", inputs: [x(2, 5)], ...MS }],
  QuickGelu: [{ title: "a matrix", inputs: [x(2, 5)], ...MS }],
  FastGelu: [{ title: "with a bias", inputs: [x(2, 5), x(5)], ...MS }],
  BiasGelu: [{ title: "with a bias", inputs: [x(2, 5), x(5)], ...MS }],
  SkipSimplifiedLayerNormalization: [
    {
      title: "the sum, too",
      inputs: [x(1, 2, 4), x(1, 2, 4), x(4)],
      outputs: 4,
      wanted: [0, 3],
      attributes: { epsilon: float(1e-6) },
      ...MS,
    },
  ],
  SkipLayerNormalization: [{ title: "all inputs", inputs: [x(1, 2, 4), x(1, 2, 4), x(4), x(4), x(4)], ...MS }],
  FusedMatMul: [
    {
      title: "both turned",
      inputs: [x(3, 2), x(4, 3)],
      attributes: { transA: int(1), transB: int(1), alpha: float(0.5) },
      ...MS,
    },
  ],
  RotaryEmbedding: [
    {
      title: "rows",
      inputs: [x(2, 3, 8), ints([2, 3], 0, 1, 2, 2, 1, 0), known(cos(4, 2)), known(sin(4, 2))],
      ...MS,
      attributes: { num_heads: int(2) },
    },
  ],
  GroupQueryAttention: [
    {
      title: "turned, in a window",
      inputs: [
        x(1, 4, 64),
        x(1, 4, 32),
        x(1, 4, 32),
        undefined,
        undefined,
        known({ dtype: "i32", shape: [1], data: [3] }),
        known({ dtype: "i32", shape: [1], data: [4] }),
        known(cos(6, 8)),
        known(sin(6, 8)),
      ],
      attributes: { num_heads: int(4), kv_num_heads: int(2), do_rotary: int(1), local_window_size: int(2) },
      ...MS,
    },
  ],
};
