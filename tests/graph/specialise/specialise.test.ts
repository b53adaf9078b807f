import { describe, expect, it } from "vitest";
import type { Graph, GraphBody, GraphNode, ValueInfo } from "../../../src/formats/onnx/graph.ts";
import { Constant } from "../../../src/graph/specialise/constant.ts";
import { specialise } from "../../../src/graph/specialise/specialise.ts";
import { graph, node, value } from "../../engine/graphs.ts";
import { evaluateGraph } from "../../reference/evaluate-graph.ts";
import { errorOf } from "../../support/errors.ts";
import { noise } from "../numbers.ts";
import { bytesOf, floats, type Input, int, ints, sizes, tensorOf } from "./one-node.ts";

const y = [value("y", "f32", undefined)];
const x = [value("x", "f32", ["batch", 3])];
const shapes = new Map([["x", [2, 3]]]);
const initialisers = (named: Readonly<Record<string, Input>>) =>
  Object.entries(named).map(([name, input]) => tensorOf(name, input));

function graphOf(nodes: readonly GraphNode[], constants: Readonly<Record<string, Input>> = {}, inputs = x): Graph {
  return graph(nodes, inputs, y, initialisers(constants));
}

function body(nodes: readonly GraphNode[], output: string): { readonly kind: "graph"; readonly value: GraphBody } {
  const outputs: readonly ValueInfo[] = [value(output, "f32", undefined)];
  return { kind: "graph", value: { name: "body", nodes, initialisers: new Map(), inputs: [], outputs } };
}

describe("specialise", () => {
  it("computes what follows from shapes, whatever the sizes are", () => {
    const nodes = [
      node("Shape", ["x"], ["shape"]),
      node("Gather", ["shape", "zero"], ["batch"]),
      node("Mul", ["batch", "three"], ["elements"]),
      node("Unsqueeze", ["elements", "zero"], ["sizes"]),
      node("Reshape", ["x", "sizes"], ["y"]),
    ];
    const constants = { zero: ints([1], 0), three: ints([1], 3) };
    const forward = graphOf(
      nodes.map((one) => (one.opType === "Unsqueeze" ? node("Identity", ["elements"], ["sizes"]) : one)),
      constants,
    );
    for (const batch of [1, 2, 5]) {
      const special = specialise(forward, new Map([["x", [batch, 3]]]));
      expect(special.nodes.map(({ opType }) => opType)).toEqual(["Reshape", "Identity"]);
      expect(special.outputs).toEqual([{ name: "y", dtype: "f32", shape: [3 * batch] }]);
    }
  });

  it("keeps the names of nodes that stay, so that adapters find them", () => {
    const forward = graphOf([node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])], {
      w: floats([3, 2], 1, 2, 3, 4, 5, 6),
    });
    expect(specialise(forward, shapes).nodes[0]).toMatchObject({
      opType: "MatMul",
      inputs: ["x", "w"],
      outputs: ["h"],
    });
  });

  it("takes the branch of an If whose condition is known, and its names only there", () => {
    const half = node("Mul", ["x", "half"], ["inner"]);
    const twice = node("Add", ["x", "x"], ["inner"]);
    const forward = graphOf(
      [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "one"], ["size"]),
        node("Equal", ["size", "three"], ["condition"]),
        node("If", ["condition"], ["first"], {
          then_branch: body([half], "inner"),
          else_branch: body([twice], "inner"),
        }),
        node("Not", ["condition"], ["other"]),
        node("If", ["other"], ["second"], { then_branch: body([half], "inner"), else_branch: body([twice], "inner") }),
        node("Add", ["first", "second"], ["y"]),
      ],
      { one: ints([], 1), three: ints([], 3), half: floats([], 0.5) },
    );
    const feeds = new Map([["x", noise([2, 3], 0)]]);
    const result = evaluateGraph(specialise(forward, shapes), feeds).get("y");
    expect(result?.data).toEqual(feeds.get("x")?.data.map((number) => 2.5 * number));
  });

  it("computes in f32 what a file computes in f16", () => {
    const half = Uint8Array.of(0x00, 0x3e); // 1.5
    const w = { name: "w", dtype: "f16", shape: [], byteLength: 2, source: { kind: "memory", bytes: half } } as const;
    const forward = graph(
      [
        node("Cast", ["x"], ["h"], { to: int(10) }),
        node("Mul", ["h", "w"], ["m"]),
        node("Cast", ["m"], ["y"], { to: int(1) }),
      ],
      x,
      y,
      [w],
    );
    const special = specialise(forward, shapes);
    expect(special.nodes.map(({ opType }) => opType)).toEqual(["Mul", "Identity"]);
    const feeds = new Map([["x", noise([2, 3], 0)]]);
    expect(evaluateGraph(special, feeds).get("y")?.data).toEqual(feeds.get("x")?.data.map((number) => 1.5 * number));
  });

  it("gives inputs the values that they always have", () => {
    const forward = graphOf([node("Mul", ["x", "mask"], ["y"])], {}, [...x, value("mask", "f32", ["batch", 3])]);
    const mask = Constant.fromNumbers("mask", "f32", [2, 3], Float64Array.of(1, 0, 1, 0, 1, 0));
    const special = specialise(forward, shapes, new Map([["mask", mask]]));
    expect(special.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(special.initialisers.get("mask")?.source).toMatchObject({
      bytes: bytesOf(floats([6], 1, 0, 1, 0, 1, 0)),
    });
  });

  it("does not look at what no output needs", () => {
    const forward = graphOf([node("Celu", ["x"], ["unused"]), node("Neg", ["x"], ["y"])]);
    expect(specialise(forward, shapes).nodes.map(({ opType }) => opType)).toEqual(["Neg"]);
  });
});

describe("what cannot be trained on", () => {
  const named = (one: GraphNode): GraphNode => ({ ...one, name: "culprit" });
  const size = (big: number) => ({ size: sizes(big, big) });
  const expanded = node("Expand", ["x", "size"], ["y"]);

  it.each([
    ["an operator without a rule", graphOf([named(node("Celu", ["x"], ["y"]))]), "UNSUPPORTED_OPERATOR", '"Celu"'],
    [
      "an operator of another domain",
      graphOf([{ ...named(node("Relu", ["x"], ["y"])), domain: "my.own" }]),
      "UNSUPPORTED_OPERATOR",
      '"my.own.Relu"',
    ],
    [
      "a loop",
      graphOf([named(node("Loop", ["", "", "x"], ["y"], { body: body([], "x") }))]),
      "UNSUPPORTED_OPERATOR",
      '"Loop"',
    ],
    ["a scan", graphOf([named(node("Scan", ["x"], ["y"], { body: body([], "x") }))]), "UNSUPPORTED_OPERATOR", '"Scan"'],
    [
      "a condition that is not known",
      graphOf([named(node("If", ["flag"], ["y"], { then_branch: body([], "x"), else_branch: body([], "x") }))], {}, [
        ...x,
        value("flag", "bool", []),
      ]),
      "UNSUPPORTED_OPERATOR",
      "If",
    ],
    [
      "an If without a branch",
      graphOf([named(node("If", ["flag"], ["y"], { else_branch: body([], "x") }))], {
        flag: { dtype: "bool", shape: [], data: [1] },
      }),
      "INVALID_MODEL",
      "branch",
    ],
    [
      "sizes that are fed",
      graphOf([named(node("Reshape", ["x", "sizes"], ["y"]))], {}, [...x, value("sizes", "i64", [1])]),
      "UNSUPPORTED_OPERATOR",
      '"sizes"',
    ],
    [
      "sizes that depend on numbers",
      graphOf([node("NonZero", ["x"], ["places"])].concat(named(node("Cast", ["places"], ["y"], { to: int(1) })))),
      "UNSUPPORTED_OPERATOR",
      '"NonZero"',
    ],
    [
      "quantised weights",
      graphOf([{ ...named(node("MatMulNBits", ["x"], ["y"])), domain: "com.microsoft" }]),
      "QUANTIZED_BASE",
      "MatMulNBits",
    ],
    [
      "an Expand that explodes",
      graphOf([named(expanded)], { size: sizes(2 ** 20, 2 ** 20, 2, 3) }),
      "UNSUPPORTED_MODEL",
      "elements",
    ],
    [
      "an Expand beyond all integers",
      graphOf([named(expanded)], { size: sizes(2 ** 40, 2 ** 40, 2, 3) }),
      "UNSUPPORTED_MODEL",
      "elements",
    ],
    [
      "a Tile that explodes",
      graphOf([named(node("Tile", ["x", "size"], ["y"]))], size(2 ** 30)),
      "UNSUPPORTED_MODEL",
      "elements",
    ],
    [
      "a ConstantOfShape that explodes",
      graphOf([named(node("ConstantOfShape", ["size"], ["y"]))], size(2 ** 30)),
      "UNSUPPORTED_MODEL",
      "elements",
    ],
    [
      "a ConstantOfShape of negative sizes",
      graphOf([named(node("ConstantOfShape", ["size"], ["y"]))], size(-2)),
      "INVALID_MODEL",
      "-2",
    ],
    [
      "a Range that explodes",
      graphOf([named(node("Range", ["zero", "end", "one"], ["y"]))], {
        zero: ints([], 0),
        end: ints([], 2 ** 50),
        one: ints([], 1),
      }),
      "UNSUPPORTED_OPERATOR",
      "elements",
    ],
    [
      "a Range without a step",
      graphOf([named(node("Range", ["zero", "end", "zero"], ["y"]))], { zero: ints([], 0), end: ints([], 5) }),
      "INVALID_MODEL",
      "step",
    ],
    [
      "a division of sizes by zero",
      graphOf([named(node("Div", ["one", "zero"], ["y"]))], { zero: ints([1], 0), one: ints([1], 1) }),
      "INVALID_MODEL",
      "integer",
    ],
    [
      "an index that does not exist",
      graphOf([named(node("Gather", ["list", "five"], ["y"]))], { list: ints([2], 1, 2), five: ints([], 5) }),
      "INVALID_MODEL",
      "index",
    ],
    ["sizes that lie", graphOf([named(node("Reshape", ["x", "size"], ["y"]))], size(7)), "INVALID_MODEL", "6 elements"],
  ] as const)("is refused by name: %s", async (_, forward, code, mentioned) => {
    const error = await errorOf(() => specialise(forward, shapes));
    expect(error.code).toBe(code);
    expect(error.message).toContain(mentioned);
    expect(error.message).toMatch(/culprit|places/);
  });

  it.each([
    ["a free size without a shape", new Map(), "batch"],
    ["another size than the file states", new Map([["x", [2, 4]]]), "[2, 4]"],
    ["another rank", new Map([["x", [2, 3, 1]]]), "[2, 3, 1]"],
  ] as const)("is refused: %s", async (_, given, mentioned) => {
    const error = await errorOf(() => specialise(graphOf([node("Neg", ["x"], ["y"])]), given));
    expect(error.code).toBe("UNSUPPORTED_MODEL");
    expect(error.message).toContain(mentioned);
  });

  it("is refused: one symbol for two sizes", async () => {
    const inputs = [value("x", "f32", ["n"]), value("z", "f32", ["n"])];
    const forward = graphOf([node("Add", ["x", "z"], ["y"])], {}, inputs);
    const error = await errorOf(() =>
      specialise(
        forward,
        new Map([
          ["x", [2]],
          ["z", [1]],
        ]),
      ),
    );
    expect(error.message).toContain('"z"');
  });

  it("is refused: a value that is not there", async () => {
    const error = await errorOf(() => specialise(graphOf([node("Neg", ["later"], ["y"])]), shapes));
    expect(error).toMatchObject({ code: "INVALID_MODEL", subject: "later" });
  });
});
