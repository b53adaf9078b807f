/**
 * The plainest evaluation of a graph in f64: one loop for each operator, no engine, nothing shared with the sources but
 * types. Integers and booleans are numbers, too; constants come from the initialisers.
 */

import type { Attribute, Graph, GraphNode } from "../../src/formats/onnx/graph.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import type { Operator } from "../../src/graph/operators.ts";

export interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** Every value of the graph, by name. */
export function evaluateGraph(graph: Graph, feeds: ReadonlyMap<string, Numbers>): Map<string, Numbers> {
  const values = new Map(feeds);
  for (const [name, tensor] of graph.initialisers) values.set(name, constantNumbers(tensor));
  const at = (name: string): Numbers => {
    const value = values.get(name);
    if (value === undefined) throw new Error(`no value ${name}`);
    return value;
  };
  for (const node of graph.nodes) {
    const inputs = node.inputs.filter((name) => name !== "").map(at);
    const results = KERNELS[node.opType as Operator](inputs, node);
    node.outputs.forEach((name, index) => {
      values.set(name, results[index] ?? missing());
    });
  }
  return values;
}

function missing(): never {
  throw new Error("missing");
}

function constantNumbers(tensor: TensorData): Numbers {
  if (tensor.source.kind !== "memory") throw new Error("expected a tensor in memory");
  const buffer = tensor.source.bytes.slice().buffer;
  if (tensor.dtype === "bool") return { shape: tensor.shape, data: [...new Uint8Array(buffer)] };
  const data = tensor.dtype === "i64" ? Array.from(new BigInt64Array(buffer), Number) : [...new Float32Array(buffer)];
  return { shape: tensor.shape, data };
}

type Kernel = (inputs: readonly Numbers[], node: GraphNode) => readonly Numbers[];

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The index of each element of a shape, in C order. */
function indices(shape: readonly number[]): number[][] {
  return Array.from({ length: size(shape) }, (_, flat) => {
    const index: number[] = [];
    let rest = flat;
    for (const length of shape.toReversed()) {
      index.unshift(rest % length);
      rest = Math.floor(rest / length);
    }
    return index;
  });
}

/** The element at an index, which may be longer (leading axes are ignored) and run along axes of size 1. */
function pick({ shape, data }: Numbers, index: readonly number[]): number {
  const own = index.slice(index.length - shape.length);
  const flat = shape.reduce((sum, length, axis) => sum * length + (length === 1 ? 0 : (own[axis] ?? 0)), 0);
  return data[flat] ?? missing();
}

function generate(shape: readonly number[], element: (index: number[]) => number): Numbers {
  return { shape, data: indices(shape).map(element) };
}

function wide(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    return sizes.find((length) => length !== 1) ?? 1;
  });
}

const elementwise =
  (f: (...values: number[]) => number): Kernel =>
  (inputs) => [generate(wide(...inputs.map(({ shape }) => shape)), (index) => f(...inputs.map((x) => pick(x, index))))];

const attribute = (node: GraphNode, name: string): Attribute | undefined => node.attributes.get(name);

function int(node: GraphNode, name: string, otherwise: number): number {
  const found = attribute(node, name);
  return found?.kind === "int" ? Number(found.value) : otherwise;
}

function float(node: GraphNode, name: string): number {
  const found = attribute(node, name);
  return found?.kind === "float" ? found.value : 1;
}

const nth = (inputs: readonly Numbers[], index: number): Numbers => inputs[index] ?? missing();

function axisOf(node: GraphNode, otherwise: number, rank: number): number {
  const axis = int(node, "axis", otherwise);
  return axis < 0 ? axis + rank : axis;
}

const reduction =
  (f: (values: readonly number[]) => number): Kernel =>
  (inputs, node) => {
    const x = nth(inputs, 0);
    const rank = x.shape.length;
    const all = int(node, "noop_with_empty_axes", 0) === 1 ? [] : [...x.shape.keys()];
    const given = inputs[1]?.data.map((axis) => (axis < 0 ? axis + rank : axis)) ?? all;
    const kept = x.shape.map((length, axis) => (given.includes(axis) ? 1 : length));
    const every = indices(x.shape);
    const result = generate(kept, (index) =>
      f(
        every
          .filter((other) => other.every((at, axis) => given.includes(axis) || at === index[axis]))
          .map((other) => pick(x, other)),
      ),
    );
    if (int(node, "keepdims", 1) === 1) return [result];
    return [{ shape: x.shape.filter((_, axis) => !given.includes(axis)), data: result.data }];
  };

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function logSoftmax(inputs: readonly Numbers[], node: GraphNode): Numbers {
  const x = nth(inputs, 0);
  const axis = axisOf(node, -1, x.shape.length);
  return generate(x.shape, (index) => {
    const line = Array.from({ length: x.shape[axis] ?? 0 }, (_, at) => pick(x, index.with(axis, at)));
    const largest = Math.max(...line);
    return pick(x, index) - largest - Math.log(sum(line.map((value) => Math.exp(value - largest))));
  });
}

function product(a: Numbers, b: Numbers): Numbers {
  const [m, k, n] = [a.shape.at(-2) ?? 0, a.shape.at(-1) ?? 0, b.shape.at(-1) ?? 0];
  const batch = wide(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return generate([...batch, m, n], (index) => {
    const [row = 0, column = 0] = index.slice(-2);
    const lead = index.slice(0, -2);
    const line = Array.from({ length: k }, (_, at) => pick(a, [...lead, row, at]) * pick(b, [...lead, at, column]));
    return sum(line);
  });
}

const flip = ({ shape, data }: Numbers): Numbers =>
  generate(shape.toReversed(), ([row = 0, column = 0]) => data[column * (shape[1] ?? 0) + row] ?? missing());

/** erf by its series, or 1 − erfc by a continued fraction; good to 1e-15. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 2.5) {
    let [term, total] = [z, z];
    for (let n = 1; n < 80; n++) {
      term *= -(z * z) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 80; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}

const reshaped: Kernel = (inputs, node) => {
  const x = nth(inputs, 0);
  const wanted = inputs[1]?.data ?? [];
  if (node.opType === "Squeeze") {
    const named = new Set(wanted.map((axis) => (axis < 0 ? axis + x.shape.length : axis)));
    const removed = (axis: number) => (inputs.length === 1 ? x.shape[axis] === 1 : named.has(axis));
    return [{ shape: x.shape.filter((_, axis) => !removed(axis)), data: x.data }];
  }
  if (node.opType === "Unsqueeze") {
    const shape = [...x.shape];
    const rank = x.shape.length + wanted.length;
    for (const axis of wanted.map((at) => (at < 0 ? at + rank : at)).sort((a, b) => a - b)) shape.splice(axis, 0, 1);
    return [{ shape, data: x.data }];
  }
  const shape = wanted.map((length, axis) => (length === 0 ? (x.shape[axis] ?? 0) : length));
  const rest = x.data.length / size(shape.filter((length) => length !== -1));
  return [{ shape: shape.map((length) => (length === -1 ? rest : length)), data: x.data }];
};

function cut(x: Numbers, starts: readonly number[], shape: readonly number[]): Numbers {
  return generate(shape, (index) =>
    pick(
      x,
      index.map((at, axis) => (x.shape[axis] === 1 ? 0 : at + (starts[axis] ?? 0))),
    ),
  );
}

const wrap = (at: number, length: number): number => (at < 0 ? at + length : at);

const KERNELS: Readonly<Record<Operator, Kernel>> = {
  MatMul: ([a = missing(), b = missing()]) => [product(a, b)],
  Gemm: ([a = missing(), b = missing(), c], node) => {
    const left = int(node, "transA", 0) === 1 ? flip(a) : a;
    const right = int(node, "transB", 0) === 1 ? flip(b) : b;
    const y = product(left, right);
    const [alpha, beta] = [float(node, "alpha"), float(node, "beta")];
    return [generate(y.shape, (index) => alpha * pick(y, index) + (c === undefined ? 0 : beta * pick(c, index)))];
  },
  Add: elementwise((a = 0, b = 0) => a + b),
  Sub: elementwise((a = 0, b = 0) => a - b),
  Mul: elementwise((a = 0, b = 0) => a * b),
  Div: elementwise((a = 0, b = 0) => a / b),
  Pow: elementwise((a = 0, b = 0) => a ** b),
  Max: elementwise(Math.max),
  Min: elementwise(Math.min),
  Neg: elementwise((a = 0) => -a),
  Sqrt: elementwise(Math.sqrt),
  Reciprocal: elementwise((a = 0) => 1 / a),
  Exp: elementwise(Math.exp),
  Log: elementwise(Math.log),
  Tanh: elementwise(Math.tanh),
  Sigmoid: elementwise((a = 0) => 1 / (1 + Math.exp(-a))),
  Erf: elementwise((a = 0) => erf(a)),
  Cos: elementwise(Math.cos),
  Sin: elementwise(Math.sin),
  Identity: elementwise((a = 0) => a),
  /** To f32 or bool; the tests cast nothing else. */
  Cast: ([x = missing()], node) => [
    generate(x.shape, (index) => (int(node, "to", 0) === 9 ? Number(pick(x, index) !== 0) : pick(x, index))),
  ],
  Softmax: (inputs, node) => {
    const { shape, data } = logSoftmax(inputs, node);
    return [{ shape, data: data.map(Math.exp) }];
  },
  LogSoftmax: (inputs, node) => [logSoftmax(inputs, node)],
  ReduceSum: reduction(sum),
  ReduceMean: reduction((values) => sum(values) / values.length),
  ReduceMax: reduction((values) => Math.max(...values)),
  CumSum: ([x = missing(), along = missing()], node) => {
    const axis = wrap(along.data[0] ?? missing(), x.shape.length);
    const [exclusive, reverse] = [int(node, "exclusive", 0) === 1, int(node, "reverse", 0) === 1];
    return [
      generate(x.shape, (index) => {
        const own = index[axis] ?? 0;
        const counts = (at: number) => (at === own ? !exclusive : reverse ? at > own : at < own);
        const places = Array.from({ length: x.shape[axis] ?? 0 }, (_, at) => at).filter(counts);
        return sum(places.map((at) => pick(x, index.with(axis, at))));
      }),
    ];
  },
  Shape: ([x = missing()], node) => {
    const data = x.shape.slice(int(node, "start", 0), int(node, "end", x.shape.length));
    return [{ shape: [data.length], data }];
  },
  Reshape: reshaped,
  Unsqueeze: reshaped,
  Squeeze: reshaped,
  Transpose: ([x = missing()], node) => {
    const found = attribute(node, "perm");
    const order = found?.kind === "ints" ? found.value.map(Number) : [...x.shape.keys()].reverse();
    return [
      generate(
        order.map((axis) => x.shape[axis] ?? 0),
        (index) =>
          pick(
            x,
            [...x.shape.keys()].map((axis) => index[order.indexOf(axis)] ?? 0),
          ),
      ),
    ];
  },
  Concat: (inputs, node) => {
    const first = nth(inputs, 0);
    const axis = axisOf(node, 0, first.shape.length);
    const lengths = inputs.map(({ shape }) => shape[axis] ?? 0);
    return [
      generate(first.shape.with(axis, sum(lengths)), (index) => {
        let at = index[axis] ?? 0;
        let part = 0;
        while (at >= (lengths[part] ?? missing())) at -= lengths[part++] ?? 0;
        return pick(nth(inputs, part), index.with(axis, at));
      }),
    ];
  },
  Split: ([x = missing(), given], node) => {
    const axis = axisOf(node, 0, x.shape.length);
    const total = x.shape[axis] ?? 0;
    const part = Math.ceil(total / node.outputs.length);
    const sizes = given?.data ?? node.outputs.map((_, index) => Math.min(part, total - index * part));
    let start = 0;
    return sizes.map((length) => {
      const starts = x.shape.map((_, at) => (at === axis ? start : 0));
      start += length;
      return cut(x, starts, x.shape.with(axis, length));
    });
  },
  Slice: ([x = missing(), starts = missing(), ends = missing(), axes], _node) => {
    const [from, shape] = [x.shape.map(() => 0), [...x.shape]];
    starts.data.forEach((given, index) => {
      const axis = wrap(axes?.data[index] ?? index, x.shape.length);
      const length = x.shape[axis] ?? 0;
      const [start, end] = [wrap(given, length), Math.min(wrap(ends.data[index] ?? 0, length), length)];
      from[axis] = start;
      shape[axis] = end - start;
    });
    return [cut(x, from, shape)];
  },
  Pad: ([x = missing(), pads = missing(), value]) => {
    const rank = x.shape.length;
    const shape = x.shape.map((length, axis) => length + (pads.data[axis] ?? 0) + (pads.data[axis + rank] ?? 0));
    return [
      generate(shape, (index) => {
        const inner = index.map((at, axis) => at - (pads.data[axis] ?? 0));
        const inside = inner.every((at, axis) => at >= 0 && at < (x.shape[axis] ?? 0));
        return inside ? pick(x, inner) : (value?.data[0] ?? 0);
      }),
    ];
  },
  Expand: ([x = missing(), shape = missing()]) => [generate(wide(x.shape, shape.data), (index) => pick(x, index))],
  Gather: ([x = missing(), where = missing()], node) => {
    const axis = axisOf(node, 0, x.shape.length);
    const rank = where.shape.length;
    return [
      generate(x.shape.toSpliced(axis, 1, ...where.shape), (index) => {
        const at = wrap(pick(where, index.slice(axis, axis + rank)), x.shape[axis] ?? 0);
        return pick(x, index.toSpliced(axis, rank, at));
      }),
    ];
  },
  GatherElements: ([x = missing(), where = missing()], node) => {
    const axis = axisOf(node, 0, x.shape.length);
    return [generate(where.shape, (index) => pick(x, index.with(axis, wrap(pick(where, index), x.shape[axis] ?? 0))))];
  },
  ScatterElements: ([x = missing(), where = missing(), updates = missing()], node) => {
    const axis = axisOf(node, 0, x.shape.length);
    const found = attribute(node, "reduction");
    const adds = found?.kind === "string" && found.value === "add";
    const data = [...x.data];
    for (const index of indices(where.shape)) {
      const at = index.with(axis, wrap(pick(where, index), x.shape[axis] ?? 0));
      const flat = x.shape.reduce((total, length, place) => total * length + (at[place] ?? 0), 0);
      data[flat] = (adds ? (data[flat] ?? 0) : 0) + pick(updates, index);
    }
    return [{ shape: x.shape, data }];
  },
  Where: elementwise((condition, a = 0, b = 0) => (condition ? a : b)),
  Equal: elementwise((a, b) => Number(a === b)),
  Less: elementwise((a = 0, b = 0) => Number(a < b)),
  Greater: elementwise((a = 0, b = 0) => Number(a > b)),
  And: elementwise((a, b) => Number(Boolean(a && b))),
  Not: elementwise((a) => Number(!a)),
};
