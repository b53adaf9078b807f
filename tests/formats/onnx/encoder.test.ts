import { describe, expect, it } from "vitest";
import { UnsupportedError } from "../../../src/core/errors.ts";
import { DTYPE_ELEMENT_TYPES, dtypeOfElementType } from "../../../src/formats/onnx/element-type.ts";
import { encodeGraph } from "../../../src/formats/onnx/encoder.ts";
import type { Graph, GraphNode } from "../../../src/formats/onnx/graph.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";

/** What onnx 1.23.2 for Python writes for the model below (`SerializeToString`, IR 10). */
const GOLDEN =
  "CAoSCWxvcmEtdG9vbDqWAwrpAQoBeAoACgF3EgF5EgASAXoaAm4xIgZDdXN0b20qCwoBZhUAAMA/oAEBKhEKAWkY/f//////////AaABAioMCgFzIgR0ZXh0oAEDKhkKAXQqEQgBEAdCAXRKCP////////9/oAEEKjMKAWcyKwoUCgF4EgVpbm5lciIISWRlbnRpdHkSBHRoZW5iDQoFaW5uZXISBAoCCAGgAQUqEQoCZnM9AAAAPz0AAADAoAEGKh8KA2luc0ABQICAgICAgICAgAFA//////////9/oAEHKg4KAnNzSgFhSgLDqaABCDoJbXkuZG9tYWluChIKAXkKA2ZhchIDb3V0IgNBZGQSBG1haW4qEQgCEAFCAXdKCAAAgD8AAABAKj4IAggDEBBCA2ZhcmoRCghsb2NhdGlvbhIFdy5iaW5qDgoGb2Zmc2V0EgQ0MDk2agwKBmxlbmd0aBICMTJwAVoaCgF4EhUKEwgBEg8KBxIFYmF0Y2gKAggECgBaEAoIYW55dGhpbmcSBAoCCAliDQoDb3V0EgYKBAgBEgBCBAoAEBRCDQoJbXkuZG9tYWluEAE=";

function memory(name: string, dtype: TensorData["dtype"], shape: readonly number[], bytes: Uint8Array): TensorData {
  return { name, dtype, shape, byteLength: bytes.length, source: { kind: "memory", bytes } };
}

const FAR: TensorData = {
  name: "far",
  dtype: "bf16",
  shape: [2, 3],
  byteLength: 12,
  source: { kind: "file", path: "/models/w.bin", offset: 4096 },
};

const INT64_MAX = 2n ** 63n - 1n;

const CUSTOM: GraphNode = {
  name: "n1",
  opType: "Custom",
  domain: "my.domain",
  inputs: ["x", "", "w"],
  outputs: ["y", "", "z"],
  attributes: new Map([
    ["f", { kind: "float", value: 1.5 }],
    ["i", { kind: "int", value: -3n }],
    ["s", { kind: "string", value: "text" }],
    ["t", { kind: "tensor", value: memory("t", "i64", [1], new Uint8Array(BigInt64Array.of(INT64_MAX).buffer)) }],
    [
      "g",
      {
        kind: "graph",
        value: {
          name: "then",
          nodes: [node("Identity", ["x"], ["inner"])],
          initialisers: new Map(),
          inputs: [],
          outputs: [{ name: "inner", dtype: "f32", shape: undefined }],
        },
      },
    ],
    ["fs", { kind: "floats", value: [0.5, -2] }],
    ["ins", { kind: "ints", value: [1n, -(2n ** 63n), INT64_MAX] }],
    ["ss", { kind: "strings", value: ["a", "é"] }],
  ]),
};

const MODEL: Graph = {
  name: "main",
  nodes: [CUSTOM, node("Add", ["y", "far"], ["out"])],
  initialisers: new Map([
    ["w", memory("w", "f32", [2], new Uint8Array(Float32Array.of(1, 2).buffer))],
    ["far", FAR],
  ]),
  inputs: [
    { name: "x", dtype: "f32", shape: ["batch", 4, undefined] },
    { name: "anything", dtype: "bool", shape: undefined },
  ],
  outputs: [{ name: "out", dtype: "f32", shape: [] }],
  irVersion: 10,
  opsetImports: new Map([
    ["", 20],
    ["my.domain", 1],
  ]),
};

function node(opType: string, inputs: readonly string[], outputs: readonly string[]): GraphNode {
  return { name: "", opType, domain: "", inputs, outputs, attributes: new Map() };
}

function codeOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error instanceof UnsupportedError ? error.code : error;
  }
  return undefined;
}

describe("encodeGraph", () => {
  it("writes each field, attribute kind and dimension as the reference library does, byte for byte", () => {
    const bytes = encodeGraph(MODEL, (tensor) => (tensor === FAR ? { location: "w.bin", offset: 4096 } : undefined));
    expect(Buffer.from(bytes).toString("base64")).toBe(GOLDEN);
  });

  it("refuses a tensor that lies in a file and has no place outside the model", () => {
    expect(codeOf(() => encodeGraph(MODEL))).toBe("UNSUPPORTED_MODEL");
  });

  it("refuses text tensors", () => {
    const text = memory("text", "string", [1], new Uint8Array());
    expect(codeOf(() => encodeGraph({ ...MODEL, initialisers: new Map([["text", text]]) }))).toBe("UNSUPPORTED_DTYPE");
  });

  it("refuses tensors of 2 GiB inside the model before it allocates anything", () => {
    const huge: TensorData = { ...memory("w", "u8", [2 ** 31], new Uint8Array()), byteLength: 2 ** 31 };
    expect(codeOf(() => encodeGraph({ ...MODEL, initialisers: new Map([["w", huge]]) }))).toBe("UNSUPPORTED_MODEL");
  });
});

describe("element types", () => {
  it("map each dtype to one code of ONNX and back", () => {
    const codes = Object.entries(DTYPE_ELEMENT_TYPES);
    expect(codes.map(([, code]) => code).sort((a, b) => a - b)).toEqual(Array.from({ length: 28 }, (_, i) => i + 1));
    for (const [dtype, code] of codes) expect(dtypeOfElementType(code)).toBe(dtype);
  });

  it("knows no other code", () => {
    for (const code of [0, 29, -1, 1.5]) expect(dtypeOfElementType(code)).toBeUndefined();
  });
});
