import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LoraToolError } from "../../../src/core/errors.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { findWeightUses } from "../../../src/formats/onnx/weight-uses.ts";
import { openStore } from "../../../src/formats/registry.ts";
import { errorOf } from "../../support/errors.ts";
import { entry, fileOf } from "../../support/safetensors-bytes.ts";
import { temporaryFile } from "../../support/temporary-folder.ts";
import {
  type Bytes,
  concat,
  floats,
  graphAttribute,
  graphBytes,
  int,
  type ModelParts,
  modelBytes,
  nodeBytes,
  sub,
  tensorAttribute,
  tensorBytes,
  unknownFieldsModel,
  valueBytes,
} from "./build.ts";
import { bytesIn, codeOf, openBytes } from "./open.ts";

const scalar = (name: string, value = 1) => tensorBytes({ name, raw: floats(value) });

describe("openOnnx", () => {
  test("tells what a model holds and where", () => {
    const model = openBytes(unknownFieldsModel());
    expect(model.irVersion).toBe(10);
    expect([...model.opsetImports]).toEqual([["", 20]]);
    expect([...model.metadata]).toEqual([["author", "someone"]]);
    const { nodes, initialisers, inputs, outputs } = model.graph;
    expect(nodes.map(({ opType, inputs, outputs }) => [opType, inputs, outputs])).toEqual([
      ["MatMul", ["x", "w"], ["y"]],
    ]);
    expect([inputs, outputs].map((values) => values.map(({ name }) => name))).toEqual([["x"], ["y"]]);
    expect([...initialisers.keys()]).toEqual(["w"]);
    const w = model.store.tensors.get("w");
    expect(w).toMatchObject({ name: "w", dtype: "f32", shape: [2, 3], byteLength: 24, source: { kind: "file" } });
    expect(bytesIn(model, "w")).toEqual(floats(1, 2, 3, 4, 5, 6));
    expect(model.store.warnings).toEqual([]);
  });

  test("opens as a store like any other, by name and by content", () => {
    for (const name of ["model.onnx", "5f3a9c"]) {
      expect([...openStore(temporaryFile(name, unknownFieldsModel())).tensors.keys()]).toEqual(["w"]);
    }
  });

  test("loads no payload: a model of 6 GB opens from its structure", async () => {
    const payload = 6 * 2 ** 30;
    // A file with a hole where the values are: lengths above 2^32, every one of them.
    const head = (content: number, dims: Bytes) =>
      concat(dims, int(2, 2), sub(8, "w"), Uint8Array.of(0x4a), varint(content));
    const tensorHead = head(payload, int(1, payload));
    const tensorLength = tensorHead.length + payload;
    const graphHead = concat(Uint8Array.of(0x2a), varint(tensorLength));
    const start = concat(
      int(1, 10),
      Uint8Array.of(0x3a),
      varint(graphHead.length + tensorLength),
      graphHead,
      tensorHead,
    );
    const path = temporaryFile("model.onnx", start);
    const { openSync, writeSync, closeSync } = await import("node:fs");
    const fd = openSync(path, "r+");
    const end = concat(sub(8, sub(1, ""), int(2, 20)));
    writeSync(fd, end, 0, end.length, start.length + payload);
    closeSync(fd);
    expect(openOnnx(path).store.tensors.get("w")).toMatchObject({
      byteLength: payload,
      source: { kind: "file", offset: start.length },
    });
  });

  test.each<[string, Bytes | string, string]>([
    ["an empty file", "", "EMPTY_FILE"],
    ["text", "hello, world", "WRONG_FORMAT"],
    ["JSON", '{"error": "not found"}', "WRONG_FORMAT"],
    ["a Git-LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "WRONG_FORMAT"],
    ["a web page", "<!doctype html><title>Log in</title>", "WRONG_FORMAT"],
    ["a pickle", Uint8Array.of(0x80, 2, 0x7d, 0x71), "WRONG_FORMAT"],
    ["a safetensors file", fileOf(JSON.stringify({ w: entry("U8", [2], 0, 2) }), 2), "WRONG_FORMAT"],
    ["a model without a graph", concat(int(1, 10), sub(8, int(2, 20))), "INVALID_MODEL"],
    ["a model without an IR version", modelBytes().subarray(2), "INVALID_MODEL"],
    ["IR version 0", modelBytes({ irVersion: 0 }), "INVALID_MODEL"],
    ["a negative IR version", modelBytes({ irVersion: -1 }), "INVALID_MODEL"],
    ["IR version 2^63", modelBytes({ irVersion: 2n ** 63n }), "INVALID_MODEL"],
    ["no operator set", modelBytes({ opsets: [] }), "INVALID_MODEL"],
    ["operator set 0", modelBytes({ opsets: [["", 0]] }), "INVALID_MODEL"],
    ["a negative operator set", modelBytes({ opsets: [["", -1]] }), "INVALID_MODEL"],
    [
      "a domain imported twice under its two spellings",
      modelBytes({
        opsets: [
          ["", 20],
          ["ai.onnx", 20],
        ],
      }),
      "DUPLICATE_KEY",
    ],
  ])("refuses %s", async (_, bytes, code) => {
    const error = await errorOf(() => openOnnx(temporaryFile("model.onnx", bytes)));
    expect(error.code).toBe(code);
    expect(error.message).toContain("model.onnx");
  });

  test.each<[string, ModelParts, RegExp]>([
    ["an IR version that is newer", { irVersion: 15 }, /IR version 15 is newer than 14/],
    ["an operator set that is newer", { opsets: [["", 99_999]] }, /operator set 99999 is newer/],
    [
      "an operator of a domain that is not imported",
      { nodes: [concat(nodeBytes("Gelu", [], ["y"]), sub(7, "com.microsoft"))] },
      /com\.microsoft/,
    ],
    [
      "metadata stated twice",
      { model: [sub(14, sub(1, "a"), sub(2, "1")), sub(14, sub(1, "a"), sub(2, "2"))] },
      /"a" stated twice/,
    ],
    ["a graph in two parts", { model: [sub(7, sub(5, scalar("v")))] }, /several parts/],
    ["training graphs", { model: [sub(20, sub(1, graphBytes({})))] }, /training_info/],
    [
      "a type stated twice",
      { tensors: [tensorBytes({ type: 10, raw: floats(1), extra: [int(2, 1)] })] },
      /type stated twice/,
    ],
    [
      "values stated twice",
      { tensors: [tensorBytes({ raw: floats(1, 2), extra: [sub(9, floats(3))] })] },
      /raw_data stated twice/,
    ],
  ])("warns of %s and reads on", (_, parts, warning) => {
    expect(openBytes(modelBytes(parts)).store.warnings).toEqual([expect.stringMatching(warning)]);
  });

  test("takes the last of values that are stated twice and joins the parts of a message, as protobuf does", () => {
    const model = openBytes(
      modelBytes({
        tensors: [tensorBytes({ raw: floats(1, 2), extra: [sub(9, floats(3))] })],
        nodes: [nodeBytes("Neg", ["w"], ["a"])],
        model: [sub(7, sub(1, nodeBytes("Neg", ["a"], ["b"])), sub(2, "last"), sub(5, scalar("v", 4)))],
      }),
    );
    expect(bytesIn(model, "w")).toEqual(floats(3));
    expect(bytesIn(model, "v")).toEqual(floats(4));
    expect(model.graph.name).toBe("last");
    expect(model.graph.nodes.map(({ outputs }) => outputs[0])).toEqual(["a", "b"]);
  });

  test("refuses a model that is cut off at any byte, and never reads a part as the whole", async () => {
    const bytes = unknownFieldsModel();
    for (let length = 0; length < bytes.length; length++) {
      const path = temporaryFile("model.onnx", bytes.subarray(0, length));
      let model: ReturnType<typeof openOnnx>;
      try {
        model = openOnnx(path);
      } catch (error) {
        expect(error).toBeInstanceOf(LoraToolError);
        continue;
      }
      // What is cut off at the end of a field is a valid, shorter message; the graph itself is whole.
      expect([...model.store.tensors.keys()]).toEqual(["w"]);
      expect(model.opsetImports.size).toBe(1);
    }
  });

  test("keeps names that are not UTF-8 apart, and prints them escaped", () => {
    const names = [Uint8Array.of(0x77, 0xff), Uint8Array.of(0x77, 0xfe), Uint8Array.of(0xc0, 0xaf)];
    const model = openBytes(modelBytes({ tensors: names.map((name) => tensorBytes({ name, raw: floats(1) })) }));
    expect([...model.store.tensors.keys()]).toEqual(["w\udcff", "w\udcfe", "\udcc0\udcaf"]);
    expect(model.store.warnings.join()).toMatch(/w\\u\{dcff\}": the name is not valid UTF-8/);
  });

  test("takes names of JavaScript's own for names", () => {
    const names = ["__proto__", "constructor", "toString"];
    const model = openBytes(
      modelBytes({
        tensors: names.map((name) => scalar(name)),
        nodes: [
          nodeBytes(
            "Constant",
            [],
            ["c"],
            tensorAttribute("value", scalar("")),
            tensorAttribute("__proto__", scalar("")),
          ),
        ],
        model: [sub(14, sub(1, "__proto__"), sub(2, "polluted"))],
      }),
    );
    expect([...model.store.tensors.keys()]).toEqual([...names, "c"]);
    expect([...model.metadata.keys()]).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(model.graph.nodes[0]?.attributes.map(({ name }) => name)).toEqual(["value", "__proto__"]);
  });

  test("runs where code generation is forbidden", () => {
    const path = temporaryFile("model.onnx", unknownFieldsModel());
    const root = join(import.meta.dirname, "../../..");
    const script = `import { openStore } from "lora-tool/formats"; console.log([...openStore(process.argv[1]).tensors.keys()].join())`;
    const flags = [
      "--disallow-code-generation-from-strings",
      "--frozen-intrinsics",
      "--disable-proto=delete",
      "--no-warnings",
    ];
    const { stdout, stderr } = spawnSync(process.execPath, [...flags, "--input-type=module", "-e", script, path], {
      cwd: root,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("w\n");
  });
});

describe("a graph", () => {
  test.each<[string, ModelParts, string]>([
    ["two initialisers of one name", { tensors: [scalar("w"), scalar("w")] }, "DUPLICATE_KEY"],
    ["an initialiser without a name", { tensors: [scalar("")] }, "INVALID_MODEL"],
    ["a node without an operator", { nodes: [sub(1, "x")] }, "INVALID_MODEL"],
    [
      "a node's output that is an initialiser",
      { tensors: [scalar("w")], nodes: [nodeBytes("Neg", ["x"], ["w"])] },
      "INVALID_MODEL",
    ],
    [
      "two nodes with one output",
      { nodes: [nodeBytes("Neg", ["x"], ["y"]), nodeBytes("Abs", ["x"], ["y"])] },
      "INVALID_MODEL",
    ],
    [
      "a node's output that is an input",
      { inputs: [valueBytes("x")], nodes: [nodeBytes("Neg", ["x"], ["x"])] },
      "INVALID_MODEL",
    ],
    ["two inputs of one name", { inputs: [valueBytes("x"), valueBytes("x")] }, "INVALID_MODEL"],
  ])("is refused with %s", async (_, parts, code) => {
    expect(await codeOf(modelBytes(parts))).toBe(code);
  });

  test("may use any order, a name for nothing, and the name of a value around it", () => {
    const inner = graphBytes({
      tensors: [scalar("w", 2)],
      nodes: [nodeBytes("Neg", ["w"], ["y"])],
      outputs: [valueBytes("y")],
    });
    const model = openBytes(
      modelBytes({
        tensors: [scalar("w", 1)],
        nodes: [
          nodeBytes("Add", ["late", ""], ["sum", ""]),
          nodeBytes(
            "If",
            ["w"],
            ["late", ""],
            graphAttribute("then_branch", inner),
            graphAttribute("else_branch", inner),
          ),
        ],
      }),
    );
    expect([...model.store.tensors.keys()]).toEqual(["w", "If#1.then_branch/w", "If#1.else_branch/w"]);
    expect(bytesIn(model, "w")).toEqual(floats(1));
    expect(bytesIn(model, "If#1.then_branch/w")).toEqual(floats(2));
  });

  test("may hold a cycle, which is its engine's to refuse", () => {
    const nodes = [nodeBytes("Neg", ["b"], ["a"]), nodeBytes("Neg", ["a"], ["b"])];
    expect(openBytes(modelBytes({ nodes })).graph.nodes).toHaveLength(2);
  });

  test("may nest subgraphs as deep as protobuf does, and no deeper", async () => {
    const nest = (depth: number): Bytes =>
      depth === 0
        ? graphBytes({ tensors: [scalar("w")] })
        : graphBytes({ nodes: [nodeBytes("If", ["c"], [], graphAttribute("then_branch", nest(depth - 1)))] });
    const model = (depth: number) => concat(int(1, 10), sub(7, nest(depth)), sub(8, int(2, 20)));
    expect(openBytes(model(32)).store.tensors.size).toBe(1);
    expect(await codeOf(model(34))).toBe("INVALID_PROTOBUF");
    // Built from the inside.
    let deep: Bytes = graphBytes({});
    for (let depth = 0; depth < 2_000; depth++) deep = sub(1, sub(4, "If"), sub(5, sub(6, deep)));
    expect(await codeOf(concat(int(1, 10), sub(7, deep), sub(8, int(2, 20))))).toBe("INVALID_PROTOBUF");
  });

  test("may be large: a million inputs of one node, and 50,000 nodes", () => {
    const wide = concat(Buffer.from("\n\x01x".repeat(1_000_000)), sub(2, "y"), sub(4, "Sum"));
    expect(openBytes(modelBytes({ nodes: [wide] })).graph.nodes[0]?.inputs).toHaveLength(1_000_000);
    const chain = Buffer.concat(
      Array.from({ length: 50_000 }, (_, at) => sub(1, nodeBytes("Neg", [`v${at}`], [`v${at + 1}`]))),
    );
    expect(openBytes(modelBytes({ extra: [chain] })).graph.nodes).toHaveLength(50_000);
  });

  test("is refused with more messages than fit in memory", async () => {
    const annotations = new Uint8Array(2 * 3_100_000);
    for (let at = 0; at < annotations.length; at += 2) annotations[at] = 0x6a;
    expect(await codeOf(modelBytes({ extra: [annotations] }))).toBe("HEADER_TOO_LARGE");
  });
});

describe("a function", () => {
  const functionBytes = (name: string, calls: string, domain = "local") =>
    sub(
      25,
      sub(1, name),
      sub(10, domain),
      sub(4, "x"),
      sub(5, "y"),
      sub(7, nodeBytes(calls, ["x"], ["y"]), sub(7, domain)),
      sub(9, sub(1, domain), int(2, 1)),
    );
  const opsets: ModelParts["opsets"] = [
    ["", 20],
    ["local", 1],
  ];

  test("has its nodes and constants, by its own scope", () => {
    const constant = nodeBytes("Constant", [], ["c"], tensorAttribute("value", scalar("", 7)));
    const model = openBytes(modelBytes({ model: [sub(25, sub(1, "f"), sub(7, constant), sub(9, int(2, 20)))] }));
    expect(model.functions.map(({ name }) => name)).toEqual(["f"]);
    expect(bytesIn(model, "function#0/c")).toEqual(floats(7));
    expect(findWeightUses(model).size).toBe(0);
  });

  test.each<[string, readonly Bytes[], string]>([
    ["calls itself", [functionBytes("f", "f")], "INVALID_MODEL"],
    ["calls itself through another", [functionBytes("f", "g"), functionBytes("g", "f")], "INVALID_MODEL"],
    ["is defined twice", [functionBytes("f", "Neg"), functionBytes("f", "Abs")], "DUPLICATE_KEY"],
    ["imports no operator set", [sub(25, sub(1, "f"))], "INVALID_MODEL"],
  ])("is refused when it %s", async (_, functions, code) => {
    expect(await codeOf(modelBytes({ opsets, model: functions }))).toBe(code);
  });

  test("may call another, in a chain of any length", () => {
    const functions = Array.from({ length: 5_000 }, (_, index) => functionBytes(`f${index}`, `f${index + 1}`));
    expect(openBytes(modelBytes({ opsets, model: functions })).functions).toHaveLength(5_000);
  });
});

function varint(value: number): Bytes {
  return int(0, value).subarray(1);
}
