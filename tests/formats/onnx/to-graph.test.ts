import { describe, expect, test } from "vitest";
import { encodeGraph } from "../../../src/formats/onnx/encoder.ts";
import { withWire } from "../../../src/formats/onnx/lazy.ts";
import { readNodeMetadata } from "../../../src/formats/onnx/read-attribute.ts";
import { toGraph } from "../../../src/formats/onnx/to-graph.ts";
import { errorOf } from "../../support/errors.ts";
import {
  type Bytes,
  bytesOf,
  concat,
  fixed32,
  floats,
  graphAttribute,
  graphBytes,
  int,
  intAttribute,
  intsAttribute,
  type ModelParts,
  modelBytes,
  nodeBytes,
  sub,
  tensorAttribute,
  tensorBytes,
  valueBytes,
  varintBytes,
} from "./build.ts";
import { openBytes } from "./open.ts";

const graphOf = (parts: ModelParts) => toGraph(openBytes(modelBytes(parts)));
const attribute = (name: string, type: number, ...fields: readonly Bytes[]) =>
  concat(sub(1, name), ...fields, int(20, type));

describe("toGraph", () => {
  test("reads nodes, types and constants", () => {
    const graph = graphOf({
      tensors: [
        tensorBytes({ dims: [2, 150], raw: new Uint8Array(1200) }),
        tensorBytes({ name: "small", dims: [2, 3], raw: new Uint8Array(24) }),
      ],
      nodes: [concat(nodeBytes("MatMul", ["x", "w"], ["y"]), sub(3, "a node"), sub(7, "ai.onnx"))],
      inputs: [valueBytes("x", 1, ["batch", 2]), valueBytes("w", 1, [2, 150])],
      outputs: [valueBytes("y", 10, ["batch", 150])],
      opsets: [
        ["ai.onnx", 18],
        ["my.domain", 2],
      ],
      irVersion: 3,
    });
    expect(graph).toMatchObject({
      name: "g",
      irVersion: 10,
      opsetImports: new Map([
        ["", 18],
        ["my.domain", 2],
      ]),
      // What has an initialiser is no input that anyone has to give.
      inputs: [{ name: "x", dtype: "f32", shape: ["batch", 2] }],
      outputs: [{ name: "y", dtype: "f16", shape: ["batch", 150] }],
      nodes: [
        { name: "a node", opType: "MatMul", domain: "", inputs: ["x", "w"], outputs: ["y"], attributes: new Map() },
      ],
    });
    expect(graph.initialisers.get("w")).toMatchObject({ dtype: "f32", shape: [2, 150], source: { kind: "file" } });
    // Axes and sizes are read, since engines refuse those that lie outside.
    expect(graph.initialisers.get("small")).toMatchObject({ shape: [2, 3], source: { kind: "memory" } });
  });

  test("reads attributes of every kind, packed or not, and exactly", () => {
    const attributes = [
      attribute("f", 1, fixed32(2, 1.5)),
      attribute("i", 2, int(3, 2n ** 63n - 1n)),
      attribute("s", 3, sub(4, "größe")),
      tensorAttribute("t", tensorBytes({ dims: [2], raw: floats(1, 2) })),
      attribute("fs", 6, fixed32(7, 0.5), fixed32(7, -2)),
      attribute("packed fs", 6, sub(7, floats(0.5, -2))),
      attribute("is", 7, int(8, -1), int(8, -(2n ** 63n))),
      attribute("packed is", 7, sub(8, varintBytes(-1), varintBytes(-(2n ** 63n)))),
      attribute("ss", 8, sub(9, "a"), sub(9, Uint8Array.of(0xff))),
      attribute("nothing", 2),
    ];
    const [node] = graphOf({ nodes: [nodeBytes("Custom", [], ["y"], ...attributes)] }).nodes;
    const values = [...(node?.attributes ?? [])].map(([name, { kind, value }]) => [name, kind, value]);
    expect(values.filter(([, kind]) => kind !== "tensor")).toEqual([
      ["f", "float", 1.5],
      ["i", "int", 2n ** 63n - 1n],
      ["s", "string", "größe"],
      ["fs", "floats", [0.5, -2]],
      ["packed fs", "floats", [0.5, -2]],
      ["is", "ints", [-1n, -(2n ** 63n)]],
      ["packed is", "ints", [-1n, -(2n ** 63n)]],
      ["ss", "strings", ["a", "\udcff"]],
      ["nothing", "int", 0n],
    ]);
    // A tensor of an attribute goes wherever its node is written.
    expect(node?.attributes.get("t")).toMatchObject({
      kind: "tensor",
      value: { source: { kind: "memory", bytes: floats(1, 2) } },
    });
  });

  test("tells the kind of an attribute by its value where old models do not state it", () => {
    const old = [concat(sub(1, "f"), fixed32(2, 2)), concat(sub(1, "is"), int(8, 3)), concat(sub(1, "s"), sub(4, "x"))];
    const [node] = graphOf({ nodes: [nodeBytes("Custom", [], ["y"], ...old)] }).nodes;
    expect([...(node?.attributes.values() ?? [])]).toEqual([
      { kind: "float", value: 2 },
      { kind: "ints", value: [3n] },
      { kind: "string", value: "x" },
    ]);
  });

  test("reads sizes that are unknown, symbolic or fixed, and shapes that are unknown", () => {
    const dimension = (...content: readonly Bytes[]) => sub(1, concat(...content));
    const sizes = [
      dimension(int(1, 3)),
      dimension(sub(2, "n")),
      dimension(),
      dimension(sub(2, "")),
      dimension(int(1, -1)),
    ];
    const shaped = concat(sub(1, "x"), sub(2, sub(1, int(1, 1), sub(2, ...sizes))));
    const unshaped = concat(sub(1, "z"), sub(2, sub(1, int(1, 1))));
    const graph = graphOf({ inputs: [shaped, unshaped] });
    expect(graph.inputs.map(({ shape }) => shape)).toEqual([[3, "n", undefined, undefined, undefined], undefined]);
  });

  test("reads subgraphs, which see the values around them", () => {
    const inner = graphBytes({ nodes: [nodeBytes("Neg", ["x"], ["z"])], outputs: [valueBytes("z")] });
    const graph = graphOf({
      inputs: [valueBytes("c", 9), valueBytes("x")],
      nodes: [
        nodeBytes("If", ["c"], ["y"], graphAttribute("then_branch", inner), graphAttribute("else_branch", inner)),
      ],
      outputs: [valueBytes("y")],
    });
    const branch = graph.nodes[0]?.attributes.get("then_branch");
    expect(branch).toMatchObject({
      kind: "graph",
      value: { nodes: [{ opType: "Neg", inputs: ["x"] }], outputs: [{ name: "z" }] },
    });
  });

  test.each<[number, number]>([
    [1, 10],
    [21, 10],
    [23, 11],
    [24, 12],
    [25, 13],
    [27, 14],
  ])("asks for the IR version that element type %i needs", (type, irVersion) => {
    expect(graphOf({ inputs: [valueBytes("x", type)] }).irVersion).toBe(irVersion);
  });

  test("gives a graph that is encoded and read again the same", () => {
    const graph = graphOf({
      nodes: [
        nodeBytes(
          "Custom",
          ["x"],
          ["y"],
          intAttribute("i", -3),
          tensorAttribute("t", tensorBytes({ name: "", raw: floats(2) })),
        ),
      ],
      inputs: [valueBytes("x", 1, ["n"])],
      outputs: [valueBytes("y", 1, ["n"])],
    });
    const again = toGraph(openBytes(encodeGraph(graph)));
    expect(structuredClone(again)).toEqual(structuredClone(graph));
  });

  test.each<[string, ModelParts, string]>([
    [
      "a sparse initialiser",
      {
        extra: [
          sub(
            15,
            sub(1, tensorBytes({ dims: [1], raw: floats(1) })),
            sub(2, tensorBytes({ name: "", type: 7, dims: [1], raw: bytesOf(BigInt64Array.of(0n)) })),
            int(3, 2),
          ),
        ],
      },
      "UNSUPPORTED_MODEL",
    ],
    [
      "an input that is a sequence",
      { inputs: [concat(sub(1, "x"), sub(2, sub(4, sub(1, sub(1, int(1, 1))))))] },
      "UNSUPPORTED_MODEL",
    ],
    ["an input without a type", { inputs: [sub(1, "x")] }, "UNSUPPORTED_MODEL"],
    ["an input of an unknown type", { inputs: [valueBytes("x", 99)] }, "INVALID_DTYPE"],
    [
      "a list of tensors",
      { nodes: [nodeBytes("C", [], ["y"], attribute("ts", 9, sub(10, tensorBytes({ raw: floats(1) }))))] },
      "UNSUPPORTED_MODEL",
    ],
    [
      "a reference to a function's attribute",
      { nodes: [nodeBytes("C", [], ["y"], attribute("r", 2, sub(21, "outer")))] },
      "UNSUPPORTED_MODEL",
    ],
    ["a tensor attribute without one", { nodes: [nodeBytes("C", [], ["y"], attribute("t", 4))] }, "UNSUPPORTED_MODEL"],
    ["a graph attribute without one", { nodes: [nodeBytes("C", [], ["y"], attribute("g", 5))] }, "INVALID_MODEL"],
    [
      "an attribute twice",
      { nodes: [nodeBytes("C", [], ["y"], intAttribute("a", 1), intAttribute("a", 2))] },
      "DUPLICATE_KEY",
    ],
    [
      "packed floats that do not fill their field",
      { nodes: [nodeBytes("C", [], ["y"], attribute("fs", 6, sub(7, "abc")))] },
      "INVALID_PROTOBUF",
    ],
    ["a cycle", { nodes: [nodeBytes("Neg", ["b"], ["a"]), nodeBytes("Neg", ["a"], ["b"])] }, "INVALID_MODEL"],
    ["an input from nowhere", { nodes: [nodeBytes("Neg", ["nowhere"], ["a"])] }, "INVALID_MODEL"],
    ["an output from nowhere", { outputs: [valueBytes("nowhere")] }, "INVALID_MODEL"],
  ])("refuses %s", async (_, parts, code) => {
    expect((await errorOf(() => graphOf(parts))).code).toBe(code);
  });

  test("leaves the metadata of a node to who asks", () => {
    const node = concat(
      nodeBytes("Neg", ["x"], ["y"], intsAttribute("axes", 1)),
      sub(9, sub(1, "pkg.torch.onnx.name_scopes"), sub(2, "['', 'q_proj']")),
    );
    const model = openBytes(modelBytes({ inputs: [valueBytes("x")], nodes: [node] }));
    const [first] = model.graph.nodes;
    const metadata = first && withWire(model, (wire) => readNodeMetadata(wire, first));
    expect(metadata).toEqual(new Map([["pkg.torch.onnx.name_scopes", "['', 'q_proj']"]]));
  });
});
