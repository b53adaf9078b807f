/**
 * An opened ONNX file → a graph for computing: attribute values, types and small constants are read, weights stay where
 * they are.
 *
 * An initialiser that is also an input (its default, or any initialiser before IR 4) becomes a constant. Refused: what a
 * `Graph` cannot hold (functions, sparse initialisers, values that are no tensors), and nodes that use a value before it
 * is defined, which the IR forbids and which is the only way to write a cycle.
 */

import type { Dtype } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import type { Attribute, Graph, GraphBody, GraphNode } from "./graph.ts";
import { withWire } from "./lazy.ts";
import type { OnnxGraph, OnnxModel, OnnxNode } from "./model.ts";
import { inMemory, readAttribute, readValueInfo } from "./read-attribute.ts";
import type { WireReader } from "./wire-reader.ts";

/** @throws {UnsupportedError | FormatError} UNSUPPORTED_MODEL, INVALID_MODEL, DUPLICATE_KEY */
export function toGraph(model: OnnxModel): Graph {
  const [first] = model.functions;
  if (first !== undefined) {
    throw new UnsupportedError("UNSUPPORTED_MODEL", "the model defines functions of its own", {
      file: model.path,
      subject: first.name,
      hint: "inline them: onnx.inliner.inline_local_functions",
    });
  }
  const body = withWire(model, (wire) => toBody(wire, model.graph, undefined));
  return { ...body, irVersion: neededIrVersion(body), opsetImports: model.opsetImports };
}

/** 10, or the version that brought the youngest element type of the graph; engines refuse versions that they do not know. */
function neededIrVersion({ initialisers, inputs, outputs, nodes }: GraphBody): number {
  const dtypes = [...initialisers.values(), ...inputs, ...outputs].map(({ dtype }) => IR_VERSIONS[dtype] ?? 10);
  for (const { attributes } of nodes) {
    for (const attribute of attributes.values()) {
      if (attribute.kind === "tensor") dtypes.push(IR_VERSIONS[attribute.value.dtype] ?? 10);
      if (attribute.kind === "graph") dtypes.push(neededIrVersion(attribute.value));
    }
  }
  return dtypes.reduce((newest, version) => Math.max(newest, version), 10);
}

const IR_VERSIONS: Readonly<Partial<Record<Dtype, number>>> = {
  f4_e2m1: 11,
  f8_e8m0: 12,
  u2: 13,
  i2: 13,
  f6_e2m3: 14,
  f6_e3m2: 14,
};

/** Axes and sizes are smaller, and engines refuse those that lie outside of the graph. */
const SMALL_BYTES = 1024;

/** Values that are defined so far, in a graph and in those around it, which it may use too. */
interface Scope {
  readonly names: Set<string>;
  readonly outer: Scope | undefined;
}

function toBody(wire: WireReader, graph: OnnxGraph, outer: Scope | undefined): GraphBody {
  const [sparse] = graph.sparseInitialisers.keys();
  if (sparse !== undefined) {
    throw new UnsupportedError("UNSUPPORTED_MODEL", "a sparse initialiser", { file: wire.path, subject: sparse });
  }
  const initialisers = new Map(
    [...graph.initialisers].map(([name, { data }]) => [name, data.byteLength <= SMALL_BYTES ? inMemory(data) : data]),
  );
  const inputs = graph.inputs.filter(({ name }) => !initialisers.has(name)).map((value) => readValueInfo(wire, value));
  const names = new Set([...initialisers.keys(), ...inputs.map(({ name }) => name)]);
  const scope = { names, outer };
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes) {
    for (const input of node.inputs) if (input !== "") assertDefined(wire, scope, input);
    nodes.push(toNode(wire, node, scope));
    for (const output of node.outputs) if (output !== "") names.add(output);
  }
  for (const { name } of graph.outputs) assertDefined(wire, scope, name);
  const outputs = graph.outputs.map((value) => readValueInfo(wire, value));
  return { name: graph.name, nodes, initialisers, inputs, outputs };
}

function toNode(wire: WireReader, node: OnnxNode, scope: Scope): GraphNode {
  const attributes = new Map<string, Attribute>();
  for (const attribute of node.attributes) {
    const details = { file: wire.path, subject: attribute.name };
    if (attributes.has(attribute.name))
      throw new FormatError("DUPLICATE_KEY", "an attribute stands twice in a node", details);
    const [graph] = attribute.graphs;
    const plain = readAttribute(wire, attribute);
    if (plain !== undefined) attributes.set(attribute.name, plain);
    else if (graph !== undefined) attributes.set(attribute.name, { kind: "graph", value: toBody(wire, graph, scope) });
    else throw new FormatError("INVALID_MODEL", "an attribute of type graph without one", details);
  }
  const { name, opType, domain, inputs, outputs } = node;
  return { name, opType, domain, inputs, outputs, attributes };
}

function assertDefined(wire: WireReader, scope: Scope, name: string): void {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) if (at.names.has(name)) return;
  throw new FormatError("INVALID_MODEL", "the value is used before it is defined", { file: wire.path, subject: name });
}
