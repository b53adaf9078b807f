/**
 * An opened ONNX file → a graph for computing: attribute values, types and small constants are read, weights stay where
 * they are.
 *
 * An initialiser that is also an input (its default, or any initialiser before IR 4) becomes a constant, a call of a
 * function of the model its body. Refused: what a `Graph` cannot hold (sparse initialisers, values that are no tensors),
 * and nodes that use a value before it is defined, which the IR forbids and which is the only way to write a cycle.
 */

import type { Dtype } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { type Frame, FunctionCalls, MAIN } from "./function-calls.ts";
import type { Attribute, Graph, GraphBody, GraphNode } from "./graph.ts";
import { withWire } from "./lazy.ts";
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxValue } from "./model.ts";
import { inMemory, readAttribute, readAttributeReference, readValueInfo } from "./read-attribute.ts";
import type { WireReader } from "./wire-reader.ts";

/** @throws {UnsupportedError | FormatError} UNSUPPORTED_MODEL, INVALID_MODEL, DUPLICATE_KEY */
export function toGraph(model: OnnxModel): Graph {
  const calls = new FunctionCalls(model);
  const body = withWire(model, (wire) => new BodyReader(wire, calls).body(model.graph, undefined, MAIN));
  return { ...body, irVersion: neededIrVersion(body), opsetImports: calls.opsetImports };
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

class BodyReader {
  readonly #wire: WireReader;
  readonly #calls: FunctionCalls;

  constructor(wire: WireReader, calls: FunctionCalls) {
    this.#wire = wire;
    this.#calls = calls;
  }

  body(graph: OnnxGraph, outer: Scope | undefined, frame: Frame): GraphBody {
    const wire = this.#wire;
    const [sparse] = graph.sparseInitialisers.keys();
    if (sparse !== undefined) {
      throw new UnsupportedError("UNSUPPORTED_MODEL", "a sparse initialiser", { file: wire.path, subject: sparse });
    }
    const initialisers = new Map(
      [...graph.initialisers].map(([name, { data }]) => [
        frame.rename(name),
        data.byteLength <= SMALL_BYTES ? inMemory(data) : data,
      ]),
    );
    const values = (list: readonly OnnxValue[]) =>
      list.map((value) => ({ ...readValueInfo(wire, value), name: frame.rename(value.name) }));
    const inputs = values(graph.inputs.filter(({ name }) => !graph.initialisers.has(name)));
    const scope = { names: new Set([...initialisers.keys(), ...inputs.map(({ name }) => name)]), outer };
    const nodes = this.#nodes(graph.nodes, scope, frame);
    const outputs = values(graph.outputs);
    for (const { name } of outputs) assertDefined(wire, scope, name);
    return { name: graph.name, nodes, initialisers, inputs, outputs };
  }

  #nodes(list: readonly OnnxNode[], scope: Scope, frame: Frame): GraphNode[] {
    return list.flatMap((one) => {
      const node = this.#node(one, scope, frame);
      for (const input of node.inputs) if (input !== "") assertDefined(this.#wire, scope, input);
      const call = this.#calls.enter(this.#wire, one, node, frame);
      if (call === undefined) {
        for (const output of node.outputs) if (output !== "") scope.names.add(output);
        return node;
      }
      const nodes = this.#nodes(call.nodes, scope, call.frame);
      for (const { outputs } of call.copies) for (const output of outputs) scope.names.add(output);
      return [...nodes, ...call.copies];
    });
  }

  #node(node: OnnxNode, scope: Scope, frame: Frame): GraphNode {
    const attributes = new Map<string, Attribute>();
    for (const attribute of node.attributes) {
      const details = { file: this.#wire.path, subject: attribute.name };
      if (attributes.has(attribute.name))
        throw new FormatError("DUPLICATE_KEY", "an attribute stands twice in a node", details);
      const [graph] = attribute.graphs;
      const reference = frame.attributes && readAttributeReference(this.#wire, attribute);
      if (reference !== undefined) {
        const given = frame.attributes?.get(reference);
        if (given !== undefined) attributes.set(attribute.name, given);
        continue;
      }
      const plain = readAttribute(this.#wire, attribute);
      if (plain !== undefined) attributes.set(attribute.name, plain);
      else if (graph !== undefined)
        attributes.set(attribute.name, { kind: "graph", value: this.body(graph, scope, frame) });
      else throw new FormatError("INVALID_MODEL", "an attribute of type graph without one", details);
    }
    const { name, opType, domain } = node;
    const renamed = (names: readonly string[]) => names.map((one) => (one === "" ? "" : frame.rename(one)));
    const label = name === "" ? "" : frame.label(name);
    return { name: label, opType, domain, inputs: renamed(node.inputs), outputs: renamed(node.outputs), attributes };
  }
}

function assertDefined(wire: WireReader, scope: Scope, name: string): void {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) if (at.names.has(name)) return;
  throw new FormatError("INVALID_MODEL", "the value is used before it is defined", { file: wire.path, subject: name });
}
