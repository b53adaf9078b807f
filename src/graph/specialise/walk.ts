/**
 * Nodes as exporters write them → nodes of `OPERATORS`, one after the other, in a graph that grows.
 *
 * What follows from constants alone becomes a constant, and an If whose condition is known becomes its branch.
 */

import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { elementCount, type Shape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { GraphBody, GraphNode } from "../../formats/onnx/graph.ts";
import type { GraphBuilder } from "../builder.ts";
import { labelOf, type NodeCall, type Value } from "../call.ts";
import { sizesOf } from "../infer/infer.ts";
import { layerOf } from "../layer-of.ts";
import type { LinearLayer } from "../lora.ts";
import { Constant } from "./constant.ts";
import { fold } from "./fold/fold.ts";
import { canLower, lower } from "./lower/lower.ts";
import { assertPossible } from "./possible.ts";
import { Emitter, type Entry, Scope } from "./scope.ts";
import { constantFrom, upgrade } from "./upgrade.ts";

/** Constants up to here are computed even where the engine could; 256 KiB of f32. */
const SMALL_ELEMENTS = 2 ** 16;
/** The largest constant that is computed because nothing else can; 16 MiB of f32. */
const LARGEST_CONSTANT = 2 ** 22;

/** What is put on a layer, by the name of the value that the layer's node computes. */
export type Adapters = ReadonlyMap<string, (layer: LinearLayer) => Value>;

export interface WalkOptions {
  /** Version of ONNX's operator set that the nodes are of. */
  readonly opset: number;
  readonly adapters?: Adapters;
  /** Initialisers that are not known before the graph runs: nothing is folded into them, and gradients reach them. */
  readonly trained?: ReadonlySet<string>;
}

export class Walk {
  readonly emitter: Emitter;
  readonly #g: GraphBuilder;
  readonly #opset: number;
  readonly #adapters: Adapters;
  readonly #trained: ReadonlySet<string>;

  constructor(g: GraphBuilder, { opset, adapters = new Map(), trained = new Set() }: WalkOptions) {
    this.#g = g;
    this.#opset = opset;
    this.#adapters = adapters;
    this.#trained = trained;
    this.emitter = new Emitter(g);
  }

  body({ initialisers, nodes }: Pick<GraphBody, "initialisers" | "nodes">, scope: Scope): void {
    for (const [name, tensor] of initialisers) {
      const constant = Constant.fromTensor(`${scope.prefix}${name}`, tensor);
      scope.set(name, this.#trained.has(constant.name) ? this.emitter.emit(constant) : constant);
    }
    for (const node of nodes) {
      const results = this.#node(node, scope);
      node.outputs.forEach((name, index) => {
        const result = results[index];
        if (name !== "" && result !== undefined) scope.set(name, result);
      });
    }
  }

  #node(old: GraphNode, scope: Scope): readonly (Entry | undefined)[] {
    const names = old.outputs.map((name) => (name === "" ? "" : `${scope.prefix}${name}`));
    const { node, constants } = upgrade({ ...old, outputs: names });
    if (node.domain === "" && node.opType === "Constant") return [constantNode(node)];
    const entries = node.inputs.map(
      (name, index) => constants.get(index) ?? (name === "" ? undefined : scope.get(name)),
    );
    if (node.domain === "" && node.opType === "If") return this.#branch(node, entries[0], scope);
    const call = callOf(node, entries);
    const known = fromType(call, entries[0]);
    if (known !== undefined) return [Constant.fromNumbers(names[0] ?? "", "i64", ...known)];
    const adapt = this.#adapters.get(old.outputs[0] ?? "");
    const folded = adapt === undefined ? this.#folded(call, entries, names) : undefined;
    const results = folded ?? this.#lowered(call, node, entries, adapt);
    for (const result of results) if (result !== undefined) assertPossible(call, result.shape);
    return results;
  }

  /** Results that are known because all inputs are. */
  #folded(call: NodeCall, entries: Entries, names: readonly string[]): readonly Entry[] | undefined {
    if (!entries.every((entry): entry is Constant | undefined => entry === undefined || entry instanceof Constant)) {
      return undefined;
    }
    const otherwise = canLower(call.operator);
    const results = fold({ ...call, inputs: entries }, otherwise ? SMALL_ELEMENTS : LARGEST_CONSTANT);
    if (results === "large" && !otherwise) {
      const problem = `${call.operator}: a constant of more than ${LARGEST_CONSTANT} elements`;
      throw new UnsupportedError("UNSUPPORTED_OPERATOR", problem, { subject: call.label });
    }
    if (results === undefined || results === "large") return undefined;
    return results.map(({ dtype, shape, numbers }, index) =>
      Constant.fromNumbers(names[index] ?? "", dtype, shape, numbers),
    );
  }

  #lowered(
    call: NodeCall,
    node: GraphNode,
    entries: Entries,
    adapt: ((layer: LinearLayer) => Value) | undefined,
  ): readonly (Entry | undefined)[] {
    const inputs = entries.map((entry) => entry && this.emitter.emit(entry));
    const results = lower({
      ...call,
      inputs,
      g: this.#g,
      node,
      opset: this.#opset,
      constant: (index) => {
        const entry = entries[index];
        return entry instanceof Constant ? entry : undefined;
      },
    });
    const [base] = results;
    return adapt && base ? [adapt(layerOf({ ...call, inputs }, base, call.label))] : results;
  }

  #branch(node: GraphNode, condition: Entry | undefined, scope: Scope): readonly Entry[] {
    const label = labelOf(node);
    if (!(condition instanceof Constant)) {
      throw new UnsupportedError("UNSUPPORTED_OPERATOR", "If: a condition that depends on the inputs", {
        subject: label,
      });
    }
    const branch = node.attributes.get(condition.numbers[0] ? "then_branch" : "else_branch");
    if (branch?.kind !== "graph") throw new FormatError("INVALID_MODEL", "If: a branch is missing", { subject: label });
    const inner = new Scope(scope, `${node.outputs[0]}/`);
    this.body(branch.value, inner);
    return branch.value.outputs.map(({ name }) => inner.get(name));
  }
}

type Entries = readonly (Entry | undefined)[];

function callOf(node: GraphNode, entries: Entries): NodeCall {
  const label = labelOf(node);
  const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
  const integers = (index: number): readonly number[] | undefined => {
    const entry = entries[index];
    if (entry === undefined) return undefined;
    if (entry instanceof Constant && entry.elements <= SMALL_ELEMENTS) return [...entry.numbers];
    throw new UnsupportedError(
      "UNSUPPORTED_OPERATOR",
      `${operator}: sizes or axes that depend on the inputs (${quote(entry.name)})`,
      { subject: label },
    );
  };
  return { operator, label, inputs: entries, attributes: node.attributes, outputCount: node.outputs.length, integers };
}

/** The tensor of a Constant node, whichever attribute holds it. */
function constantNode(node: GraphNode): Constant {
  const [name = ""] = node.outputs;
  for (const [key, attribute] of node.attributes) {
    const constant = key.startsWith("value") ? constantFrom(name, attribute) : undefined;
    if (constant !== undefined) return constant;
  }
  throw new UnsupportedError("UNSUPPORTED_OPERATOR", "Constant: expected a tensor or numbers", { subject: name });
}

/** Shape and Size ask for the type only, which is known even where the numbers are not. */
function fromType(call: NodeCall, entry: Entry | undefined): [shape: Shape, numbers: Float64Array] | undefined {
  if (entry === undefined) return undefined;
  if (call.operator === "Size") return [[], Float64Array.of(elementCount(entry.shape) ?? Number.NaN)];
  if (call.operator !== "Shape") return undefined;
  const sizes = sizesOf(call);
  return [[sizes.length], Float64Array.from(sizes)];
}
