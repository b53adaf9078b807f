import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/call.ts";
import { graph, node, value } from "../engine/graphs.ts";
import { evaluateGraph } from "../reference/evaluate-graph.ts";
import { errorOf } from "../support/errors.ts";
import { gradient, gradientName } from "./gradient.ts";
import { noise, runGraph } from "./numbers.ts";

/** A graph with the loss Σ f(x), x [2, 3] f32. */
function lossOf(make: (g: GraphBuilder, x: Value) => Value): Graph {
  const g = new GraphBuilder();
  const result = make(g, g.input("x", "f32", [2, 3]));
  return g.toGraph("test", new Map([["loss", g.reduceSum(g.reshape(result, [-1]), [0])]]));
}

const feeds = new Map([["x", noise([2, 3], 0)]]);
const values = feeds.get("x")?.data ?? [];
const byX = (forward: Graph, detached: readonly string[] = []) =>
  evaluateGraph(gradient(forward, { loss: "loss", wrt: ["x"], detached }), feeds).get(gradientName("x"))?.data;

describe("the reverse pass", () => {
  it("adds up what comes from several uses of a value", () => {
    const forward = lossOf((g, x) => g.add(g.mul(x, x), g.add(x, x)));
    expect(byX(forward)).toEqual(values.map((x) => x + x + 2));
  });

  it("takes a detached value for a constant", () => {
    let square = "";
    const forward = lossOf((g, x) => {
      const y = g.mul(x, x);
      square = y.name;
      return g.mul(x, y);
    });
    expect(byX(forward, [square])).toEqual(values.map((x) => x * x));
  });

  it("stops at what is no smooth number", () => {
    const forward = lossOf((g, x) => g.mul(x, g.cast(g.greater(x, g.scalar(0)), "f32")));
    expect(byX(forward)).toEqual(values.map((x) => Number(x > 0)));
  });

  it("keeps the outputs, and has no node that no output needs", () => {
    const forward = lossOf((g, x) => {
      g.exp(x);
      return g.mul(x, g.scalar(3));
    });
    const backward = gradient(forward, { loss: "loss", wrt: ["x"] });
    expect(backward.outputs.map(({ name }) => name)).toEqual(["loss", "gradient/x"]);
    const used = new Set([
      ...backward.nodes.flatMap(({ inputs }) => inputs),
      ...backward.outputs.map(({ name }) => name),
    ]);
    for (const { outputs } of backward.nodes) expect(outputs.some((name) => used.has(name))).toBe(true);
    for (const name of backward.initialisers.keys()) expect(used).toContain(name);
  });

  it("goes through a graph that was not made here, Constant nodes and its names included", () => {
    const two = { name: "", dtype: "f32", shape: [], byteLength: 4 } as const;
    const bytes = new Uint8Array(Float32Array.of(2).buffer);
    const tensor = { kind: "tensor", value: { ...two, source: { kind: "memory", bytes } } } as const;
    const forward = graph(
      [
        node("Constant", [], ["two"], { value: tensor }),
        node("Mul", ["x", "two"], ["Mul.0"]),
        node("ReduceSum", ["Mul.0"], ["loss"]),
      ],
      [value("x", "f32", [2, 3])],
      [value("loss", "f32", [1, 1])],
    );
    expect(byX(forward)).toEqual(values.map(() => 2));
  });
});

describe("a table of rows picked many times", () => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await openEngine({ device: "cpu", threads: 2 });
  });

  afterAll(() => engine.close());

  it("has the same, full gradient in each of several runs with two threads", async () => {
    const [tokens, width, count] = [3, 8, 4096];
    const g = new GraphBuilder();
    const rows = g.gather(g.input("table", "f32", [tokens, width]), g.input("ids", "i64", [count]), 0);
    const loss = g.reduceSum(g.reshape(rows, [-1]), [0]);
    const backward = gradient(g.toGraph("test", new Map([["loss", loss]])), { loss: "loss", wrt: ["table"] });
    const ids = { shape: [count], data: Array.from({ length: count }, (_, index) => (index % 4 === 0 ? 0 : 2)) };
    const feedsOfTable = new Map([
      ["ids", ids],
      ["table", noise([tokens, width], 1)],
    ]);
    const expected = [1024, 0, 3072].flatMap((uses) => Array.from({ length: width }, () => uses));
    for (let run = 0; run < 5; run++) {
      const results = await runGraph(engine, backward, feedsOfTable);
      expect(results.get(gradientName("table"))?.data).toEqual(expected);
    }
  });
});

describe("what has no gradient", () => {
  const scalar = [value("loss", "f32", [])];
  const sum = node("ReduceSum", ["y"], ["loss"]);
  const x = [value("x", "f32", [2])];

  it.each([
    [
      "an operator without a rule",
      graph([node("Celu", ["x"], ["y"]), sum], x, scalar),
      "UNSUPPORTED_OPERATOR",
      '"Celu"',
    ],
    [
      "an operator of another domain",
      graph([{ ...node("Add", ["x", "x"], ["y"]), domain: "com.microsoft" }, sum], x, scalar),
      "UNSUPPORTED_OPERATOR",
      "com.microsoft.Add",
    ],
    [
      "a way through f16",
      graph(
        [
          node("Cast", ["x"], ["half"], { to: { kind: "int", value: 10n } }),
          node("Neg", ["half"], ["minus"]),
          node("Cast", ["minus"], ["y"], { to: { kind: "int", value: 1n } }),
          sum,
        ],
        x,
        scalar,
      ),
      "UNSUPPORTED_OPERATOR",
      "f16",
    ],
    [
      "computed axes",
      graph([node("ReduceSum", ["x", "axes"], ["y"]), sum], [...x, value("axes", "i64", [1])], scalar),
      "UNSUPPORTED_OPERATOR",
      '"y"',
    ],
    ["a free size", graph([sum], [value("y", "f32", ["batch"])], scalar), "UNSUPPORTED_MODEL", "batch"],
    [
      "an old operator set",
      { ...graph([sum], x, scalar), opsetImports: new Map([["", 13]]) },
      "UNSUPPORTED_MODEL",
      "18",
    ],
    [
      "a tensor that the loss does not depend on",
      graph([sum], [value("y", "f32", [2]), ...x], [value("loss", "f32", [1])]),
      "UNSUPPORTED_MODEL",
      '"x"',
    ],
    [
      "a shape that does not fit",
      graph([node("Add", ["x", "b"], ["y"]), sum], [...x, value("b", "f32", [3])], scalar),
      "INVALID_MODEL",
      "[3]",
    ],
    ["a name that is used twice", graph([node("Neg", ["x"], ["x"]), sum], x, scalar), "INVALID_MODEL", '"x"'],
    ["a value that is not there", graph([node("Neg", ["z"], ["y"]), sum], x, scalar), "INVALID_MODEL", '"z"'],
    ["an input too few", graph([node("Add", ["x"], ["y"]), sum], x, scalar), "INVALID_MODEL", "input"],
    [
      "an axis that does not exist",
      graph([node("Softmax", ["x"], ["y"], { axis: { kind: "int", value: 1n } }), sum], x, scalar),
      "INVALID_MODEL",
      "axis",
    ],
  ] as const)("is refused: %s", async (_, forward, code, text) => {
    const error = await errorOf(() => gradient(forward, { loss: "loss", wrt: ["x"] }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(text);
  });
});
