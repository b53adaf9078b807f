/** Small graphs for the engine's tests. */

import type { Dtype } from "../../src/core/dtype.ts";
import type { Attribute, Dimension, Graph, GraphNode, ValueInfo } from "../../src/formats/onnx/graph.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";

export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): GraphNode {
  return { name: "", opType, domain: "", inputs, outputs, attributes: new Map(Object.entries(attributes)) };
}

export function value(name: string, dtype: Dtype, shape: readonly Dimension[] | undefined): ValueInfo {
  return { name, dtype, shape };
}

/** Opset 26 and IR 13: the newest that onnxruntime-node 1.30 takes. */
export function graph(
  nodes: readonly GraphNode[],
  inputs: readonly ValueInfo[],
  outputs: readonly ValueInfo[],
  initialisers: readonly TensorData[] = [],
): Graph {
  return {
    name: "test",
    nodes,
    inputs,
    outputs,
    initialisers: new Map(initialisers.map((tensor) => [tensor.name, tensor])),
    irVersion: 13,
    opsetImports: new Map([["", 26]]),
  };
}

export function f32InMemory(name: string, values: Float32Array): TensorData {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    name,
    dtype: "f32",
    shape: [values.length],
    byteLength: bytes.length,
    source: { kind: "memory", bytes },
  };
}
