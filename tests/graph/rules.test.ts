import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import type { Attribute, Graph } from "../../src/formats/onnx/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { OPERATORS, type Operator } from "../../src/graph/operators.ts";
import { GRADIENT_RULES } from "../../src/graph/rules/rules.ts";
import { evaluateGraph, type Numbers } from "../reference/evaluate-graph.ts";
import { hasTfjsGradient, tfjsGradients } from "../reference/tfjs-gradients.ts";
import { openPlainTfjs } from "../support/tfjs.ts";
import { gradient, gradientName } from "./gradient.ts";
import { difference, noise, runGraph } from "./numbers.ts";

/** `floats` are trainable, `indices` and `flags` are fed, `constant` is an initialiser of i64. */
type Input =
  | { readonly kind: "floats"; readonly shape: readonly number[]; readonly range?: readonly [number, number] }
  | { readonly kind: "indices" | "flags"; readonly numbers: Numbers }
  | { readonly kind: "constant"; readonly data: readonly number[] };

interface Case {
  readonly title: string;
  readonly inputs: readonly Input[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
}

const x = (...shape: number[]): Input => ({ kind: "floats", shape });
const positive = (...shape: number[]): Input => ({ kind: "floats", shape, range: [0.5, 2] });
const flags = (shape: readonly number[], ...data: number[]): Input => ({ kind: "flags", numbers: { shape, data } });
const indices = (shape: readonly number[], ...data: number[]): Input => ({ kind: "indices", numbers: { shape, data } });
const constant = (...data: number[]): Input => ({ kind: "constant", data });
const int = (value: number): Attribute => ({ kind: "int", value: BigInt(value) });
const float = (value: number): Attribute => ({ kind: "float", value });

const BINARY: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ["equal shapes", [2, 3], [2, 3]],
  ["a row for each", [2, 3], [3]],
  ["a column for each", [2, 1], [2, 3]],
  ["both ways", [2, 1, 3], [4, 1]],
  ["a scalar", [], [2, 2]],
  ["a one of higher rank", [3], [1, 1, 1]],
];

const binary = (make: (...shape: number[]) => Input): readonly Case[] =>
  BINARY.map(([title, a, b]) => ({ title, inputs: [make(...a), make(...b)] }));

const unary = (make: (...shape: number[]) => Input): readonly Case[] => [
  { title: "a matrix", inputs: [make(2, 3)] },
  { title: "a scalar", inputs: [make()] },
];

const ALONG_AXIS: readonly Case[] = [
  { title: "the last axis by default", inputs: [x(2, 4)] },
  { title: "an axis in the middle", inputs: [x(2, 3, 2)], attributes: { axis: int(1) } },
];

const REDUCTIONS: readonly Case[] = [
  { title: "all axes", inputs: [x(2, 3)] },
  { title: "the last axis, kept", inputs: [x(2, 3), constant(-1)] },
  { title: "two axes, removed", inputs: [x(2, 3, 2), constant(0, 2)], attributes: { keepdims: int(0) } },
  { title: "no axis", inputs: [x(2, 3)], attributes: { noop_with_empty_axes: int(1) } },
];

const CASES: Readonly<Record<Operator, readonly Case[]>> = {
  MatMul: [
    { title: "matrices", inputs: [x(2, 3), x(3, 4)] },
    { title: "rows of a batch by one weight", inputs: [x(2, 3, 4), x(4, 2)] },
    { title: "batches", inputs: [x(2, 2, 3), x(2, 3, 2)] },
    { title: "batches that broadcast both ways", inputs: [x(2, 1, 2, 3), x(3, 3, 2)] },
    { title: "one matrix by a batch", inputs: [x(2, 3), x(4, 3, 2)] },
  ],
  Gemm: [
    { title: "plain", inputs: [x(2, 3), x(3, 4)] },
    { title: "a bias for each column", inputs: [x(2, 3), x(3, 4), x(4)] },
    { title: "left transposed", inputs: [x(3, 2), x(3, 4), x(2, 1)], attributes: { transA: int(1) } },
    { title: "right transposed", inputs: [x(2, 3), x(4, 3)], attributes: { transB: int(1) } },
    {
      title: "both transposed and scaled",
      inputs: [x(3, 2), x(4, 3), x(2, 4)],
      attributes: { transA: int(1), transB: int(1), alpha: float(0.5), beta: float(-2) },
    },
  ],
  Add: binary(x),
  Sub: binary(x),
  Mul: binary(x),
  Div: binary(positive),
  Pow: binary(positive),
  Max: binary(x),
  Min: binary(x),
  Neg: unary(x),
  Sqrt: unary(positive),
  Reciprocal: unary(positive),
  Exp: unary(x),
  Log: unary(positive),
  Tanh: unary(x),
  Sigmoid: unary(x),
  Erf: [...unary(x), { title: "far from zero", inputs: [{ kind: "floats", shape: [9], range: [-4, 4] }] }],
  Cos: unary(x),
  Sin: unary(x),
  Identity: unary(x),
  Cast: [{ title: "to its own dtype", inputs: [x(2, 3)], attributes: { to: int(1) } }],
  Softmax: ALONG_AXIS,
  LogSoftmax: ALONG_AXIS,
  ReduceSum: REDUCTIONS,
  ReduceMean: REDUCTIONS,
  ReduceMax: REDUCTIONS,
  CumSum: [
    { title: "the last axis", inputs: [x(2, 3), constant(-1)] },
    {
      title: "from the end, without itself",
      inputs: [x(3, 2), constant(0)],
      attributes: { exclusive: int(1), reverse: int(1) },
    },
  ],
  Shape: [
    { title: "all sizes", inputs: [x(2, 3)] },
    { title: "some sizes", inputs: [x(2, 3, 4)], attributes: { start: int(-2), end: int(2) } },
  ],
  Reshape: [
    { title: "to another rank", inputs: [x(2, 6), constant(3, 4, 1)] },
    { title: "with a kept and a free size", inputs: [x(2, 6), constant(0, 3, -1)] },
  ],
  Transpose: [
    { title: "reversed by default", inputs: [x(2, 3, 4)] },
    {
      title: "in a cycle, which is not its own inverse",
      inputs: [x(2, 3, 4)],
      attributes: { perm: { kind: "ints", value: [1n, 2n, 0n] } },
    },
  ],
  Concat: [
    { title: "unequal parts", inputs: [x(2, 1), x(2, 3), x(2, 2)], attributes: { axis: int(-1) } },
    { title: "one part", inputs: [x(2, 2)], attributes: { axis: int(0) } },
  ],
  Split: [
    { title: "given sizes", inputs: [x(2, 6), constant(1, 3, 2)], attributes: { axis: int(1) }, outputs: 3 },
    { title: "equal parts", inputs: [x(4, 2)], attributes: { num_outputs: int(2) }, outputs: 2 },
    { title: "a smaller last part", inputs: [x(5, 2)], attributes: { num_outputs: int(2) }, outputs: 2 },
  ],
  Slice: [
    { title: "all axes", inputs: [x(3, 4), constant(1, 0), constant(3, 2)] },
    { title: "one axis, from the end", inputs: [x(3, 4), constant(-3), constant(-1), constant(-1)] },
    { title: "to the end of an axis", inputs: [x(3, 4), constant(2), constant(2 ** 53), constant(1), constant(1)] },
  ],
  Pad: [{ title: "zeros on all sides", inputs: [x(2, 3), constant(1, 0, 2, 3)] }],
  Expand: [
    { title: "axes of size 1", inputs: [x(2, 1, 3), constant(2, 4, 3)] },
    { title: "new axes", inputs: [x(3), constant(2, 1, 1)] },
  ],
  Unsqueeze: [{ title: "two axes", inputs: [x(2, 3), constant(-1, 0)] }],
  Squeeze: [
    { title: "one of them", inputs: [x(1, 2, 1), constant(-1)] },
    { title: "all of them", inputs: [x(1, 2, 1)] },
  ],
  Gather: [
    { title: "rows, one twice, one from the end", inputs: [x(4, 3), indices([2, 2], 1, 3, 1, -4)] },
    { title: "columns", inputs: [x(2, 4), indices([3], 0, 3, 3)], attributes: { axis: int(1) } },
    { title: "one row", inputs: [x(4, 3), indices([], 2)] },
  ],
  GatherElements: [
    { title: "along the first axis", inputs: [x(3, 2), indices([2, 2], 0, 2, 0, -1)] },
    { title: "one of each row", inputs: [x(3, 4), indices([3, 1], 3, 0, -2)], attributes: { axis: int(-1) } },
  ],
  ScatterElements: [
    {
      title: "adding, one element twice",
      inputs: [x(3, 2), indices([3, 2], 0, 2, 0, 1, 2, -1), x(3, 2)],
      attributes: { reduction: { kind: "string", value: "add" } },
    },
    { title: "replacing", inputs: [x(2, 4), indices([2, 2], 0, 3, 2, 1), x(2, 2)], attributes: { axis: int(1) } },
  ],
  Where: [
    { title: "equal shapes", inputs: [flags([2, 2], 1, 0, 0, 1), x(2, 2), x(2, 2)] },
    { title: "broadcast", inputs: [flags([3, 1], 1, 0, 1), x(2), x()] },
  ],
  Equal: [{ title: "numbers", inputs: [indices([3], 1, 2, 3), indices([1], 2)] }],
  Less: [{ title: "numbers", inputs: [x(2, 3), x(3)] }],
  Greater: [{ title: "numbers", inputs: [x(2, 3), x(3)] }],
  And: [{ title: "flags", inputs: [flags([4], 0, 1, 0, 1), flags([4], 0, 0, 1, 1)] }],
  Not: [{ title: "flags", inputs: [flags([2], 0, 1)] }],
};

const differentiable = (operator: Operator): boolean => GRADIENT_RULES[operator] !== "none";
const rows = (Object.keys(OPERATORS) as Operator[]).flatMap((operator) =>
  CASES[operator].map((row) => [operator, row.title, row] as const),
);

/** One node of the operator; where there is a gradient, a loss that weighs every element of every output differently. */
function build(operator: Operator, row: Case): { graph: Graph; feeds: Map<string, Numbers>; trainable: string[] } {
  const g = new GraphBuilder();
  const feeds = new Map<string, Numbers>();
  const trainable: string[] = [];
  const inputs = row.inputs.map((input, index) => {
    const name = `x${index}`;
    if (input.kind === "constant") return g.integers(input.data).name;
    if (input.kind === "floats") {
      trainable.push(name);
      feeds.set(name, noise(input.shape, index, [...(input.range ?? [-1, 1])]));
      return g.input(name, "f32", input.shape).name;
    }
    feeds.set(name, input.numbers);
    return g.input(name, input.kind === "flags" ? "bool" : "i64", input.numbers.shape).name;
  });
  const outputs = Array.from({ length: row.outputs ?? 1 }, (_, index) => `y${index}`);
  const attributes = new Map(Object.entries(row.attributes ?? {}));
  const results = g.addNode({ name: "", opType: operator, domain: "", inputs, outputs, attributes });
  const named = new Map(results.map((value) => [value.name, value]));
  if (differentiable(operator)) {
    const terms = results.map((value, index) => {
      feeds.set(`weight${index}`, noise(value.shape, 20 + index));
      const weighed = g.mul(value, g.input(`weight${index}`, "f32", value.shape));
      return g.reduceSum(g.reshape(weighed, [-1]), [0]);
    });
    named.set("loss", terms.reduce(g.add));
  }
  return { graph: g.toGraph(operator, named), feeds, trainable };
}

/** (L(x + ε) − L(x − ε)) / 2ε for each element. */
function numericGradient(graph: Graph, feeds: ReadonlyMap<string, Numbers>, name: string): Numbers {
  const { shape, data } = feeds.get(name) ?? { shape: [], data: [] };
  const step = 1e-5;
  const lossAt = (index: number, value: number) =>
    evaluateGraph(graph, new Map(feeds).set(name, { shape, data: data.with(index, value) })).get("loss")?.data[0] ??
    Number.NaN;
  return {
    shape,
    data: data.map((value, index) => (lossAt(index, value + step) - lossAt(index, value - step)) / (2 * step)),
  };
}

/** Both: they share no kernel. */
let engines: readonly Engine[];

beforeAll(async () => {
  engines = [await openEngine({ device: "cpu", threads: 1 }), await openPlainTfjs()];
});

afterAll(async () => {
  for (const engine of engines) await engine.close();
});

describe("results of an operator", () => {
  it.each(rows)("%s, %s: are what the plain evaluation gives, in shape and within f32", async (operator, _, row) => {
    const { graph, feeds } = build(operator, row);
    const expected = evaluateGraph(graph, feeds);
    for (const engine of engines) {
      const results = await runGraph(engine, graph, feeds);
      for (const { name, shape } of graph.outputs) {
        expect(results.get(name)?.shape).toEqual(shape);
        expect(expected.get(name)?.shape).toEqual(shape);
        expect(difference(results.get(name), expected.get(name))).toBeLessThan(1e-5);
      }
    }
  });
});

describe("gradients of an operator", () => {
  const smooth = rows.filter(([operator]) => differentiable(operator));

  it.each(smooth)("%s, %s: are those of finite differences, and the engines' within f32", async (operator, _, row) => {
    const { graph, feeds, trainable } = build(operator, row);
    const backward = gradient(graph, { loss: "loss", wrt: trainable });
    const exact = evaluateGraph(backward, feeds);
    const results = [];
    for (const engine of engines) results.push(await runGraph(engine, backward, feeds));
    for (const name of trainable) {
      const output = gradientName(name);
      expect(exact.get(output)?.shape).toEqual(feeds.get(name)?.shape);
      // 1e-6: constants of rules, such as 2/√π, are f32.
      expect(difference(exact.get(output), numericGradient(graph, feeds, name))).toBeLessThan(1e-6);
      for (const values of results) expect(difference(values.get(output), exact.get(output))).toBeLessThan(1e-5);
    }
  });

  it.each(smooth.filter(([operator]) => hasTfjsGradient(operator)))(
    "%s, %s: are those of TensorFlow.js' own reverse mode",
    async (operator, _, row) => {
      const { graph, feeds, trainable } = build(operator, row);
      const exact = evaluateGraph(gradient(graph, { loss: "loss", wrt: trainable }), feeds);
      const theirs = await tfjsGradients(graph, feeds, "loss", trainable);
      for (const name of trainable) {
        expect(difference(theirs.get(name), exact.get(gradientName(name)))).toBeLessThan(1e-5);
      }
    },
  );

  it.each(smooth.filter(([, , { inputs }]) => inputs.filter(({ kind }) => kind === "floats").length > 1))(
    "%s, %s: are the same when only one input is trainable",
    (operator, _, row) => {
      const { graph, feeds, trainable } = build(operator, row);
      const all = evaluateGraph(gradient(graph, { loss: "loss", wrt: trainable }), feeds);
      for (const name of trainable) {
        const alone = evaluateGraph(gradient(graph, { loss: "loss", wrt: [name] }), feeds);
        expect(alone.get(gradientName(name))).toEqual(all.get(gradientName(name)));
      }
    },
  );

  it.each(["Max", "Min", "ReduceMax"] as const)("%s is shared evenly between equal elements", async (operator) => {
    const inputs = operator === "ReduceMax" ? [x(2)] : [x(1), x(1)];
    const { graph, feeds, trainable } = build(operator, { title: "ties", inputs });
    const ties = new Map([...feeds].map(([name, { shape, data }]) => [name, { shape, data: data.map(() => 1) }]));
    for (const engine of engines) {
      const results = await runGraph(engine, gradient(graph, { loss: "loss", wrt: trainable }), ties);
      expect(trainable.flatMap((name) => results.get(gradientName(name))?.data)).toEqual([0.5, 0.5]);
    }
  });
});
