import { describe, expect, test } from "vitest";
import { toGraph } from "../../../src/formats/onnx/to-graph.ts";
import { evaluateGraph } from "../../reference/evaluate-graph.ts";
import { errorOf } from "../../support/errors.ts";
import {
  type Bytes,
  concat,
  fixed32,
  graphAttribute,
  graphBytes,
  int,
  intAttribute,
  modelBytes,
  nodeBytes,
  sub,
  valueBytes,
} from "./build.ts";
import { openBytes } from "./open.ts";

interface FunctionParts {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Bytes[];
  readonly attributes?: readonly string[];
  readonly defaults?: readonly Bytes[];
  readonly opset?: number;
}

/** A `FunctionProto` of the domain `my`. */
function functionBytes({
  name,
  inputs,
  outputs,
  nodes,
  attributes = [],
  defaults = [],
  opset = 20,
}: FunctionParts): Bytes {
  return sub(
    25,
    sub(1, name),
    ...inputs.map((input) => sub(4, input)),
    ...outputs.map((output) => sub(5, output)),
    ...attributes.map((attribute) => sub(6, attribute)),
    ...nodes.map((node) => sub(7, node)),
    sub(9, sub(1, ""), int(2, opset)),
    sub(9, sub(1, "my"), int(2, 1)),
    sub(10, "my"),
    ...defaults.map((one) => sub(11, one)),
  );
}

const call = (name: string, inputs: readonly string[], outputs: readonly string[], ...attributes: readonly Bytes[]) =>
  concat(nodeBytes(name, inputs, outputs, ...attributes), sub(7, "my"));
const float = (name: string, value: number) => concat(sub(1, name), fixed32(2, value), int(20, 1));
const reference = (name: string, to: string, type: number) => concat(sub(1, name), sub(21, to), int(20, type));

const OPSETS = [
  ["", 20],
  ["my", 1],
] as const;

function graphOf(nodes: readonly Bytes[], functions: readonly FunctionParts[]) {
  const [inputs, outputs] = [[valueBytes("x", 1, [2])], [valueBytes("y", 1, [2])]];
  return toGraph(
    openBytes(modelBytes({ nodes, inputs, outputs, opsets: OPSETS, model: functions.map(functionBytes) })),
  );
}

/** `factor`·x, and x itself. */
const SCALE: FunctionParts = {
  name: "Scale",
  inputs: ["x"],
  outputs: ["scaled", "x"],
  attributes: ["factor"],
  defaults: [float("offset", 10)],
  nodes: [
    nodeBytes("Constant", [], ["c"], reference("value_float", "factor", 1)),
    nodeBytes("Mul", ["x", "c"], ["scaled"]),
  ],
};

const result = (graph: ReturnType<typeof graphOf>) =>
  graph.nodes.map(({ opType, inputs, outputs }) => [opType, ...inputs, "→", ...outputs].join(" "));

describe("calls of a model's own functions", () => {
  test("become their bodies, each with names and attributes of its own", () => {
    const nodes = [
      call("Scale", ["x"], ["a", "same"], float("factor", 3)),
      call("Scale", ["a"], ["b"], float("factor", -1)),
      nodeBytes("Add", ["b", "same"], ["y"]),
    ];
    const graph = graphOf(nodes, [SCALE]);
    expect(result(graph)).toEqual([
      "Constant → Scale.0/c",
      "Mul x Scale.0/c → a",
      "Identity x → same",
      "Constant → Scale.1/c",
      "Mul a Scale.1/c → b",
      "Add b same → y",
    ]);
    expect(graph.nodes[0]?.attributes.get("value_float")).toEqual({ kind: "float", value: 3 });
    expect(graph.nodes[3]?.attributes.get("value_float")).toEqual({ kind: "float", value: -1 });
  });

  test("may call others, hand attributes on, and use names in bodies of control flow", () => {
    const twice: FunctionParts = {
      name: "Twice",
      inputs: ["v"],
      outputs: ["w"],
      nodes: [
        call("Scale", ["v"], ["t"], reference("factor", "factor", 1)),
        nodeBytes(
          "If",
          ["flag"],
          ["w"],
          graphAttribute(
            "then_branch",
            graphBytes({ nodes: [nodeBytes("Add", ["t", "t"], ["in"])], outputs: [valueBytes("in")] }),
          ),
        ),
      ],
      attributes: ["factor"],
    };
    const flag = nodeBytes("Constant", [], ["flag"], intAttribute("value_int", 1));
    const graph = graphOf(
      [call("Twice", ["x"], ["y"], float("factor", 2))],
      [SCALE, { ...twice, nodes: [flag, ...twice.nodes] }],
    );
    const branch = graph.nodes.at(-1)?.attributes.get("then_branch");
    expect(branch?.kind === "graph" && branch.value.nodes[0]).toMatchObject({
      inputs: ["Twice.0/t", "Twice.0/t"],
      outputs: ["Twice.0/in"],
    });
    expect(graph.nodes.find(({ opType }) => opType === "Mul")?.outputs).toEqual(["Twice.0/t"]);
  });

  test("take defaults for attributes that the call leaves out, and leave out those without", () => {
    const shift: FunctionParts = {
      name: "Shift",
      inputs: ["x"],
      outputs: ["y"],
      attributes: ["absent"],
      defaults: [float("offset", 10)],
      nodes: [
        nodeBytes("Constant", [], ["c"], reference("value_float", "offset", 1), reference("value_int", "absent", 2)),
        nodeBytes("Add", ["x", "c"], ["y"]),
      ],
    };
    const [constant] = graphOf([call("Shift", ["x"], ["y"])], [shift]).nodes;
    expect(constant?.attributes).toEqual(new Map([["value_float", { kind: "float", value: 10 }]]));
  });

  test("compute what they say", () => {
    const square: FunctionParts = {
      name: "Square",
      inputs: ["v"],
      outputs: ["w"],
      nodes: [nodeBytes("Mul", ["v", "v"], ["w"])],
    };
    const graph = graphOf([call("Square", ["x"], ["h"]), call("Square", ["h"], ["y"])], [square]);
    expect(evaluateGraph(graph, new Map([["x", { shape: [2], data: [2, -3] }]])).get("y")?.data).toEqual([16, 81]);
  });

  test.each<[string, readonly Bytes[], readonly FunctionParts[], string]>([
    [
      "functions of another operator set",
      [call("Scale", ["x"], ["y"])],
      [{ ...SCALE, opset: 13 }],
      "UNSUPPORTED_MODEL",
    ],
    ["more inputs than it has", [call("Scale", ["x", "x"], ["y"])], [SCALE], "INVALID_MODEL"],
    [
      "a value of the graph around it",
      [nodeBytes("Neg", ["x"], ["c2"]), call("Bad", ["x"], ["y"])],
      [{ name: "Bad", inputs: ["v"], outputs: ["w"], nodes: [nodeBytes("Neg", ["c2"], ["w"])] }],
      "INVALID_MODEL",
    ],
  ])("are refused: %s", async (_, nodes, functions, code) => {
    const error = await errorOf(() => graphOf(nodes, functions));
    expect(error.code).toBe(code);
  });

  test("are refused when they multiply beyond all bounds", async () => {
    const levels = Array.from({ length: 30 }, (_, level): FunctionParts => {
      const inner =
        level === 0
          ? (from: string, to: string) => nodeBytes("Neg", [from], [to])
          : (from: string, to: string) => call(`L${level - 1}`, [from], [to]);
      return { name: `L${level}`, inputs: ["v"], outputs: ["w"], nodes: [inner("v", "t"), inner("t", "w")] };
    });
    const error = await errorOf(() => graphOf([call("L29", ["x"], ["y"])], levels));
    expect(error.code).toBe("UNSUPPORTED_MODEL");
  });
});
