/**
 * Graph → the bytes of an ONNX `ModelProto` (IR 14, onnx.proto of onnx 1.23), for the engine and for other readers.
 *
 * Field numbers stand in `*_FIELDS`. Refused: what `encode-tensor.ts` refuses, and models of 2 GiB, which protobuf cannot
 * hold: their weights belong outside, as external data.
 */

import protobuf from "protobufjs/minimal.js";
import { UnsupportedError } from "../../core/errors.ts";
import { DTYPE_ELEMENT_TYPES } from "./element-type.ts";
import { type ExternalLocator, writeTensor } from "./encode-tensor.ts";
import type { Attribute, Dimension, Graph, GraphBody, GraphNode, ValueInfo } from "./graph.ts";
import { type Writer, writeFloat, writeInt64, writeMessage, writeText } from "./wire-writer.ts";

const MODEL_FIELDS = { irVersion: 1, producerName: 2, graph: 7, opsetImport: 8, metadata: 14 } as const;
const ENTRY_FIELDS = { key: 1, value: 2 } as const;
const OPSET_FIELDS = { domain: 1, version: 2 } as const;
const GRAPH_FIELDS = { node: 1, name: 2, initializer: 5, input: 11, output: 12 } as const;
const NODE_FIELDS = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const;
const VALUE_INFO_FIELDS = { name: 1, type: 2 } as const;
const TYPE_FIELDS = { tensorType: 1 } as const;
const TENSOR_TYPE_FIELDS = { elemType: 1, shape: 2 } as const;
const SHAPE_FIELDS = { dim: 1 } as const;
const DIMENSION_FIELDS = { value: 1, param: 2 } as const;
const ATTRIBUTE_FIELDS = { name: 1, f: 2, i: 3, s: 4, t: 5, g: 6, floats: 7, ints: 8, strings: 9, type: 20 } as const;

/** `AttributeProto.AttributeType`. */
const ATTRIBUTE_TYPES: Readonly<Record<Attribute["kind"], number>> = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
};

/** Parsers of protobuf refuse messages of 2^31 bytes. */
const MAX_MODEL_BYTES = 2 ** 31 - 1;

/**
 * The graph as a model file.
 *
 * @param locate where the bytes of a tensor lie outside the model; without a place they are written into it
 * @param metadata text by key, for whoever reads the file
 * @throws {UnsupportedError} UNSUPPORTED_MODEL when the model would reach 2 GiB; see also `writeTensor`
 */
export function encodeGraph(
  graph: Graph,
  locate: ExternalLocator = () => undefined,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  let inlineBytes = 0;
  for (const tensor of graph.initialisers.values()) {
    if (locate(tensor) === undefined) inlineBytes += tensor.byteLength;
  }
  if (inlineBytes > MAX_MODEL_BYTES) {
    throw new UnsupportedError(
      "UNSUPPORTED_MODEL",
      `tensors inside an ONNX model may hold ${MAX_MODEL_BYTES} bytes, got ${inlineBytes}`,
      { subject: graph.name },
    );
  }
  const writer: Writer = protobuf.Writer.create();
  writeInt64(writer, MODEL_FIELDS.irVersion, graph.irVersion);
  writeText(writer, MODEL_FIELDS.producerName, "lora-tool");
  writeMessage(writer, MODEL_FIELDS.graph, () => writeGraph(writer, graph, locate));
  for (const [domain, version] of graph.opsetImports) {
    writeMessage(writer, MODEL_FIELDS.opsetImport, () => {
      writeText(writer, OPSET_FIELDS.domain, domain);
      writeInt64(writer, OPSET_FIELDS.version, version);
    });
  }
  for (const [key, value] of metadata) {
    writeMessage(writer, MODEL_FIELDS.metadata, () => {
      writeText(writer, ENTRY_FIELDS.key, key);
      writeText(writer, ENTRY_FIELDS.value, value);
    });
  }
  return writer.finish(true);
}

function writeGraph(writer: Writer, graph: GraphBody, locate: ExternalLocator): void {
  for (const node of graph.nodes) writeMessage(writer, GRAPH_FIELDS.node, () => writeNode(writer, node, locate));
  writeText(writer, GRAPH_FIELDS.name, graph.name);
  for (const [name, tensor] of graph.initialisers) {
    writeMessage(writer, GRAPH_FIELDS.initializer, () => writeTensor(writer, name, tensor, locate));
  }
  for (const input of graph.inputs) writeMessage(writer, GRAPH_FIELDS.input, () => writeValueInfo(writer, input));
  for (const output of graph.outputs) writeMessage(writer, GRAPH_FIELDS.output, () => writeValueInfo(writer, output));
}

function writeNode(writer: Writer, node: GraphNode, locate: ExternalLocator): void {
  for (const input of node.inputs) writeText(writer, NODE_FIELDS.input, input);
  for (const output of node.outputs) writeText(writer, NODE_FIELDS.output, output);
  if (node.name !== "") writeText(writer, NODE_FIELDS.name, node.name);
  writeText(writer, NODE_FIELDS.opType, node.opType);
  for (const [name, attribute] of node.attributes) {
    writeMessage(writer, NODE_FIELDS.attribute, () => writeAttribute(writer, name, attribute, locate));
  }
  if (node.domain !== "") writeText(writer, NODE_FIELDS.domain, node.domain);
}

function writeAttribute(writer: Writer, name: string, attribute: Attribute, locate: ExternalLocator): void {
  writeText(writer, ATTRIBUTE_FIELDS.name, name);
  switch (attribute.kind) {
    case "float":
      writeFloat(writer, ATTRIBUTE_FIELDS.f, attribute.value);
      break;
    case "int":
      writeInt64(writer, ATTRIBUTE_FIELDS.i, attribute.value);
      break;
    case "string":
      writeText(writer, ATTRIBUTE_FIELDS.s, attribute.value);
      break;
    case "tensor":
      writeMessage(writer, ATTRIBUTE_FIELDS.t, () =>
        writeTensor(writer, attribute.value.name, attribute.value, locate),
      );
      break;
    case "graph":
      writeMessage(writer, ATTRIBUTE_FIELDS.g, () => writeGraph(writer, attribute.value, locate));
      break;
    case "floats":
      for (const value of attribute.value) writeFloat(writer, ATTRIBUTE_FIELDS.floats, value);
      break;
    case "ints":
      for (const value of attribute.value) writeInt64(writer, ATTRIBUTE_FIELDS.ints, value);
      break;
    case "strings":
      for (const value of attribute.value) writeText(writer, ATTRIBUTE_FIELDS.strings, value);
      break;
    default:
      attribute satisfies never;
  }
  writeInt64(writer, ATTRIBUTE_FIELDS.type, ATTRIBUTE_TYPES[attribute.kind]);
}

function writeValueInfo(writer: Writer, value: ValueInfo): void {
  writeText(writer, VALUE_INFO_FIELDS.name, value.name);
  writeMessage(writer, VALUE_INFO_FIELDS.type, () => {
    writeMessage(writer, TYPE_FIELDS.tensorType, () => {
      writeInt64(writer, TENSOR_TYPE_FIELDS.elemType, DTYPE_ELEMENT_TYPES[value.dtype]);
      const { shape } = value;
      if (shape === undefined) return;
      writeMessage(writer, TENSOR_TYPE_FIELDS.shape, () => {
        for (const dimension of shape) {
          writeMessage(writer, SHAPE_FIELDS.dim, () => writeDimension(writer, dimension));
        }
      });
    });
  });
}

function writeDimension(writer: Writer, dimension: Dimension): void {
  if (typeof dimension === "number") writeInt64(writer, DIMENSION_FIELDS.value, dimension);
  else if (dimension !== undefined) writeText(writer, DIMENSION_FIELDS.param, dimension);
}
