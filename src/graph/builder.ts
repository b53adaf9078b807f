/**
 * One method for each operator of a training graph: `g.add(x, g.matMul(h, w))`.
 *
 * Values are of fixed shape (see `call.ts`). Reductions keep their axes as size 1 unless `squeeze` follows.
 */

import type { Dtype } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import { DTYPE_ELEMENT_TYPES } from "../formats/onnx/element-type.ts";
import type { Attribute, Graph } from "../formats/onnx/graph.ts";
import type { Value } from "./call.ts";
import { NodeBuilder, type NodeNames } from "./node-builder.ts";
import type { Operator } from "./operators.ts";

export interface GemmOptions {
  readonly transposeLeft?: boolean;
  readonly transposeRight?: boolean;
  readonly summand?: Value;
  /** Multiplies the product, not the summand. */
  readonly alpha?: number;
  readonly names?: NodeNames;
}

export interface CumSumOptions {
  /** Leaves each element itself out of its sum. */
  readonly exclusive?: boolean;
  /** Sums from the last element on. */
  readonly reverse?: boolean;
}

export class GraphBuilder extends NodeBuilder {
  /** A builder that goes on where a graph ends. */
  static from(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder();
    builder.declare(graph);
    for (const node of graph.nodes) builder.addNode(node);
    return builder;
  }

  /** [..., m, k] · [..., k, n] */
  matMul = (a: Value, b: Value): Value => this.#one("MatMul", [a, b]);
  add = (a: Value, b: Value): Value => this.#one("Add", [a, b]);
  sub = (a: Value, b: Value): Value => this.#one("Sub", [a, b]);
  mul = (a: Value, b: Value): Value => this.#one("Mul", [a, b]);
  div = (a: Value, b: Value): Value => this.#one("Div", [a, b]);
  pow = (a: Value, b: Value): Value => this.#one("Pow", [a, b]);
  max = (a: Value, b: Value): Value => this.#one("Max", [a, b]);
  min = (a: Value, b: Value): Value => this.#one("Min", [a, b]);
  neg = (a: Value): Value => this.#one("Neg", [a]);
  sqrt = (a: Value): Value => this.#one("Sqrt", [a]);
  reciprocal = (a: Value): Value => this.#one("Reciprocal", [a]);
  exp = (a: Value): Value => this.#one("Exp", [a]);
  log = (a: Value): Value => this.#one("Log", [a]);
  tanh = (a: Value): Value => this.#one("Tanh", [a]);
  sigmoid = (a: Value): Value => this.#one("Sigmoid", [a]);
  erf = (a: Value): Value => this.#one("Erf", [a]);
  cos = (a: Value): Value => this.#one("Cos", [a]);
  sin = (a: Value): Value => this.#one("Sin", [a]);
  identity = (a: Value): Value => this.#one("Identity", [a]);
  equal = (a: Value, b: Value): Value => this.#one("Equal", [a, b]);
  less = (a: Value, b: Value): Value => this.#one("Less", [a, b]);
  greater = (a: Value, b: Value): Value => this.#one("Greater", [a, b]);
  and = (a: Value, b: Value): Value => this.#one("And", [a, b]);
  not = (a: Value): Value => this.#one("Not", [a]);
  where = (condition: Value, a: Value, b: Value): Value => this.#one("Where", [condition, a, b]);

  /** alpha · [m, k] · [k, n] + summand, either matrix stored transposed. */
  gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
    const { transposeLeft = false, transposeRight = false, summand, alpha = 1, names } = options;
    const attributes = {
      transA: int(transposeLeft ? 1 : 0),
      transB: int(transposeRight ? 1 : 0),
      alpha: { kind: "float", value: alpha },
    } as const;
    return this.#one("Gemm", summand === undefined ? [a, b] : [a, b, summand], attributes, names);
  }

  cast(a: Value, dtype: Dtype): Value {
    return a.dtype === dtype ? a : this.#one("Cast", [a], { to: int(DTYPE_ELEMENT_TYPES[dtype]) });
  }

  softmax(a: Value, axis = -1): Value {
    return this.#one("Softmax", [a], { axis: int(axis) });
  }

  logSoftmax(a: Value, axis = -1): Value {
    return this.#one("LogSoftmax", [a], { axis: int(axis) });
  }

  reduceSum(a: Value, axes: readonly number[]): Value {
    return this.#one("ReduceSum", [a, this.integers(axes)]);
  }

  reduceMean(a: Value, axes: readonly number[]): Value {
    return this.#one("ReduceMean", [a, this.integers(axes)]);
  }

  reduceMax(a: Value, axes: readonly number[]): Value {
    return this.#one("ReduceMax", [a, this.integers(axes)]);
  }

  /** Running sums along an axis, which is a scalar of i64. */
  cumSum(a: Value, axis: Value, { exclusive = false, reverse = false }: CumSumOptions = {}): Value {
    return this.#one("CumSum", [a, axis], { exclusive: int(exclusive ? 1 : 0), reverse: int(reverse ? 1 : 0) });
  }

  /** i64: the sizes of the axes `start` to `end` − 1. */
  shape(a: Value, start = 0, end = a.shape.length): Value {
    return this.#one("Shape", [a], { start: int(start), end: int(end) });
  }

  /** 0 keeps a size, −1 takes what is left; a value of i64 holds sizes that the graph computes. */
  reshape(a: Value, shape: Shape | Value): Value {
    return this.#one("Reshape", [a, this.#sizes(shape)]);
  }

  transpose(a: Value, order: readonly number[]): Value {
    return this.#one("Transpose", [a], { perm: { kind: "ints", value: order.map(BigInt) } });
  }

  concat(parts: readonly Value[], axis: number): Value {
    return this.#one("Concat", parts, { axis: int(axis) });
  }

  split(a: Value, sizes: readonly number[], axis: number): readonly Value[] {
    return this.apply("Split", [a, this.integers(sizes)], { axis: int(axis) }, sizes.length);
  }

  /** Elements `start` to `end` − 1 of each axis named. */
  slice(a: Value, starts: readonly number[], ends: readonly number[], axes: readonly number[]): Value {
    return this.#one("Slice", [a, this.integers(starts), this.integers(ends), this.integers(axes)]);
  }

  /** Zeros around: all that come before, axis by axis, then all that come after. */
  pad(a: Value, pads: readonly number[]): Value {
    return this.#one("Pad", [a, this.integers(pads)]);
  }

  expand(a: Value, shape: Shape | Value): Value {
    return this.#one("Expand", [a, this.#sizes(shape)]);
  }

  unsqueeze(a: Value, axes: readonly number[]): Value {
    return this.#one("Unsqueeze", [a, this.integers(axes)]);
  }

  squeeze(a: Value, axes: readonly number[]): Value {
    return this.#one("Squeeze", [a, this.integers(axes)]);
  }

  /** Slices of `data` by integer indices, which take the place of the axis. */
  gather(data: Value, indices: Value, axis: number, names?: NodeNames): Value {
    return this.#one("Gather", [data, indices], { axis: int(axis) }, names);
  }

  gatherElements(data: Value, indices: Value, axis: number): Value {
    return this.#one("GatherElements", [data, indices], { axis: int(axis) });
  }

  /** A copy of `data` to whose elements `updates` are added, duplicates too; without `adds` they replace. */
  scatterElements(data: Value, indices: Value, updates: Value, axis: number, adds: boolean): Value {
    const reduction = { kind: "string", value: adds ? "add" : "none" } as const;
    return this.#one("ScatterElements", [data, indices, updates], { axis: int(axis), reduction });
  }

  #sizes(shape: Shape | Value): Value {
    return "name" in shape ? shape : this.integers(shape);
  }

  #one(
    operator: Operator,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
    names?: NodeNames,
  ): Value {
    const [value] = this.apply(operator, inputs, attributes, 1, names);
    if (value === undefined) throw new Error(`${operator} has no result`);
    return value;
  }
}

function int(value: number): Attribute {
  return { kind: "int", value: BigInt(value) };
}
