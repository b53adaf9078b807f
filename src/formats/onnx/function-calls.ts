/**
 * Calls of a model's own functions → the nodes of their bodies, as ONNX IR 14 defines it: names of a body are its own, an
 * attribute may take its value from the call, and a default counts where the call has none.
 *
 * PyTorch's exporter of 2023 and 2024 writes a function for each module and operator. Refused: calls nested or multiplied
 * beyond all models, and functions of another version of ONNX's operators than the graph, whose nodes may mean something
 * else. That no function calls itself is checked when a file is opened.
 */

import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { MAX_ONNX_CALL_DEPTH, MAX_ONNX_INLINED_NODES } from "../../core/limits.ts";
import type { Attribute, GraphNode } from "./graph.ts";
import type { OnnxFunction, OnnxModel, OnnxNode } from "./model.ts";
import { readAttribute } from "./read-attribute.ts";
import type { WireReader } from "./wire-reader.ts";

/** How the names and attributes of nodes are meant. */
export interface Frame {
  /** A value's name in the whole graph. */
  readonly rename: (name: string) => string;
  /** A node's name in the whole graph. */
  readonly label: (name: string) => string;
  /** What attributes may refer to; `undefined` outside of functions. */
  readonly attributes: ReadonlyMap<string, Attribute> | undefined;
  readonly depth: number;
}

/** The main graph. */
export const MAIN: Frame = { rename: (name) => name, label: (name) => name, attributes: undefined, depth: 0 };

export interface FunctionCall {
  readonly nodes: readonly OnnxNode[];
  readonly frame: Frame;
  /** For results that are inputs. */
  readonly copies: readonly GraphNode[];
}

const keyOf = (domain: string, name: string, overload: string): string => JSON.stringify([domain, name, overload]);

export class FunctionCalls {
  /** Of the graph without calls. */
  readonly opsetImports: ReadonlyMap<string, number>;
  readonly #path: string;
  readonly #functions = new Map<string, OnnxFunction>();
  #nodes = 0;
  #calls = 0;

  constructor({ path, functions, opsetImports }: OnnxModel) {
    this.#path = path;
    const imports = new Map(opsetImports);
    for (const one of functions) {
      this.#functions.set(keyOf(one.domain, one.name, one.overload), one);
      for (const [domain, version] of one.opsetImports) if (!imports.has(domain)) imports.set(domain, version);
    }
    this.opsetImports = imports;
  }

  /** The body that stands for a node, and how to read it; `undefined` for a node that calls no function. */
  enter(wire: WireReader, { overload }: OnnxNode, node: GraphNode, outer: Frame): FunctionCall | undefined {
    const called = this.#functions.get(keyOf(node.domain, node.opType, overload));
    if (called === undefined) return undefined;
    this.#assertPossible(called, node, outer);
    const prefix = `${node.opType}.${this.#calls++}/`;
    const names = new Map(called.inputs.map((name, index) => [name, node.inputs[index] ?? ""]));
    const copies: GraphNode[] = [];
    called.outputs.forEach((name, index) => {
      const output = node.outputs[index] ?? "";
      if (output === "") return;
      if (!names.has(name)) names.set(name, output);
      else copies.push(copyOf(names.get(name) ?? "", output));
    });
    const rename = (name: string) => names.get(name) ?? prefix + name;
    const label = (name: string) => prefix + name;
    const attributes = new Map<string, Attribute>();
    for (const one of called.defaults) {
      const value = readAttribute(wire, one);
      if (value !== undefined) attributes.set(one.name, value);
    }
    for (const [name, value] of node.attributes) attributes.set(name, value);
    return { nodes: called.nodes, frame: { rename, label, attributes, depth: outer.depth + 1 }, copies };
  }

  #assertPossible(
    { name, nodes, inputs, outputs, opsetImports }: OnnxFunction,
    node: GraphNode,
    { depth }: Frame,
  ): void {
    const details = { file: this.#path, subject: name };
    this.#nodes += nodes.length;
    if (depth >= MAX_ONNX_CALL_DEPTH || this.#nodes > MAX_ONNX_INLINED_NODES) {
      throw new UnsupportedError("UNSUPPORTED_MODEL", "functions that call each other beyond all bounds", details);
    }
    if (node.inputs.length > inputs.length || node.outputs.length > outputs.length) {
      throw new FormatError("INVALID_MODEL", "a call with more inputs or outputs than the function has", details);
    }
    const own = opsetImports.get("");
    const version = this.opsetImports.get("");
    if (own === undefined || own === version) return;
    throw new UnsupportedError("UNSUPPORTED_MODEL", `a function of operator set ${own} in a graph of ${version}`, {
      ...details,
      hint: "inline it: onnx.inliner.inline_local_functions(model, convert_version=True)",
    });
  }
}

function copyOf(input: string, output: string): GraphNode {
  return { name: "", opType: "Identity", domain: "", inputs: [input], outputs: [output], attributes: new Map() };
}
