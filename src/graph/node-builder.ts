/**
 * Grows a graph node by node and knows the dtype and shape of every value at once.
 *
 * Names are fresh unless given; equal constants are stored once. A graph that was read from a file is taken over with
 * `declare` and `addNode`. Refused there: operators without a row in `OPERATORS`, operator sets before 18 (axes were
 * attributes then), sizes that are not numbers, and axes or shapes that are no constants in memory.
 */

import { bytesOf } from "../core/bytes.ts";
import type { Dtype } from "../core/dtype.ts";
import { FormatError, UnsupportedError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { Attribute, Graph, GraphNode } from "../formats/onnx/graph.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import { type Call, invalid, labelOf, unknownOperator, type Value } from "./call.ts";
import { fixedShape } from "./fixed-shape.ts";
import { INFERENCE_RULES } from "./infer/infer.ts";
import { computeSizes } from "./infer/sizes.ts";
import { assertOperatorSet } from "./operator-set.ts";
import { isOperator, OPERATORS, type Operator } from "./operators.ts";

/** What built graphs declare. Graphs that are taken over keep theirs. */
const OPSET = 20;
const IR_VERSION = 10;

export interface NodeNames {
  /** For people and error messages. */
  readonly node: string;
  /** Of the value, unless another one has it already. */
  readonly result: string;
}

type Attributes = Readonly<Record<string, Attribute>>;

export class NodeBuilder {
  readonly #values = new Map<string, Value>();
  readonly #nodes: GraphNode[] = [];
  /** Files may repeat them, and a layer may be built several times; engines refuse that. */
  readonly #nodeNames = new Set<string>();
  readonly #inputs: Value[] = [];
  readonly #initialisers = new Map<string, TensorData>();
  readonly #constants = new Map<string, Value>();
  /** What nodes compute from shapes alone, which are known here. */
  readonly #sizes = new Map<string, readonly number[]>();
  /** Names that nodes of a graph which is taken over will define. */
  readonly #reserved = new Set<string>();
  #fresh = 0;
  #versions: Pick<Graph, "irVersion" | "opsetImports"> = {
    irVersion: IR_VERSION,
    opsetImports: new Map([["", OPSET]]),
  };

  /** The nodes so far, in order. */
  get nodes(): readonly GraphNode[] {
    return this.#nodes;
  }

  /** @throws {FormatError} INVALID_MODEL when nothing has this name */
  value(name: string): Value {
    const value = this.#values.get(name);
    if (value === undefined) throw new FormatError("INVALID_MODEL", "the graph has no such value", { subject: name });
    return value;
  }

  input(name: string, dtype: Dtype, shape: Shape): Value {
    const value = this.#define(name, dtype, shape);
    this.#inputs.push(value);
    return value;
  }

  /** A weight or another large constant, under its own name. */
  initialiser(tensor: TensorData): Value {
    this.#initialisers.set(tensor.name, tensor);
    return this.#define(tensor.name, tensor.dtype, tensor.shape);
  }

  scalar(value: number): Value {
    return this.#constant(`f32 ${Object.is(value, -0) ? "-0" : value}`, "f32", [], Float32Array.of(value));
  }

  /** A list of i64: axes, sizes, shapes. */
  integers(values: readonly number[]): Value {
    return this.#constant(`i64 ${values}`, "i64", [values.length], BigInt64Array.from(values, BigInt));
  }

  /** A short list of f32. */
  floats(values: Float32Array): Value {
    return this.#constant(`f32 list ${values}`, "f32", [values.length], values);
  }

  /** One i64. */
  integer(value: number): Value {
    return this.#constant(`i64 scalar ${value}`, "i64", [], BigInt64Array.of(BigInt(value)));
  }

  /** Names that fresh ones must not be. */
  reserve(names: Iterable<string>): void {
    for (const name of names) this.#reserved.add(name);
  }

  /** Inputs and initialisers of a graph that was built elsewhere, its versions, and the names that its nodes will need. */
  declare(graph: Graph): void {
    assertOperatorSet(graph);
    this.#versions = { irVersion: graph.irVersion, opsetImports: graph.opsetImports };
    for (const { outputs } of graph.nodes) this.reserve(outputs);
    for (const [name, tensor] of graph.initialisers) this.initialiser({ ...tensor, name });
    for (const input of graph.inputs) this.input(input.name, input.dtype, fixedShape(input));
  }

  /** A node as it stands in another graph. */
  addNode(node: GraphNode): readonly Value[] {
    const { name, opType, domain, attributes } = node;
    const label = labelOf(node);
    const constant = attributes.get("value");
    if (domain === "" && opType === "Constant" && constant?.kind === "tensor") {
      return [this.initialiser({ ...constant.value, name: node.outputs[0] ?? "" })];
    }
    if (domain !== "" || !isOperator(opType)) throw unknownOperator(label, domain, opType);
    const inputs = node.inputs.map((input) => (input === "" ? undefined : this.value(input)));
    return this.#add(opType, inputs, attributes, node.outputs, name);
  }

  /** A node with as many new values as the operator gives. */
  protected apply(
    operator: Operator,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    outputCount = 1,
    { node, result }: NodeNames = { node: "", result: "" },
  ): readonly Value[] {
    const isFree = result !== "" && !this.#values.has(result) && !this.#reserved.has(result);
    const outputs = Array.from({ length: outputCount }, () => (isFree ? result : this.#freshName(operator)));
    // A second node of one layer must not have its name, which engines want to be unique.
    const name = isFree || result === "" ? node : "";
    return this.#add(operator, inputs, new Map(Object.entries(attributes)), outputs, name);
  }

  /** What a node says, for the rule of its gradient. */
  callOf(node: GraphNode): Call {
    if (!isOperator(node.opType)) throw unknownOperator(node.name, node.domain, node.opType);
    const inputs = node.inputs.map((input) => (input === "" ? undefined : this.value(input)));
    return this.#call(node.opType, inputs, node.attributes, node.outputs, node.name);
  }

  /** The graph that computes `outputs`, by their names; it may hold nodes that none of them needs. */
  toGraph(name: string, outputs: ReadonlyMap<string, Value>): Graph {
    for (const [output, value] of outputs) {
      if (output !== value.name) this.#add("Identity", [value], new Map(), [output], "");
    }
    return {
      name,
      nodes: [...this.#nodes],
      initialisers: new Map(this.#initialisers),
      inputs: [...this.#inputs],
      outputs: [...outputs].map(([output, { dtype, shape }]) => ({ name: output, dtype, shape })),
      ...this.#versions,
    };
  }

  #add(
    operator: Operator,
    inputs: readonly (Value | undefined)[],
    attributes: ReadonlyMap<string, Attribute>,
    outputs: readonly string[],
    name: string,
  ): readonly Value[] {
    const call = this.#call(operator, inputs, attributes, outputs, name);
    const [least, most] = OPERATORS[operator];
    if (inputs.length < least || inputs.length > most) {
      throw invalid(call, `expected ${least} to ${most} inputs, got ${inputs.length}`);
    }
    const types = INFERENCE_RULES[operator](call);
    const isTaken = this.#nodeNames.has(name);
    this.#nodeNames.add(name);
    this.#nodes.push({
      name: isTaken ? "" : name,
      opType: operator,
      domain: "",
      inputs: inputs.map((input) => input?.name ?? ""),
      outputs,
      attributes,
    });
    const sizes = computeSizes(call, (value) => this.#knownIntegers(value));
    if (sizes !== undefined) this.#sizes.set(outputs[0] ?? "", sizes);
    return types.map(({ dtype, shape }, index) => this.#define(outputs[index] ?? "", dtype, shape));
  }

  #call(
    operator: Operator,
    inputs: readonly (Value | undefined)[],
    attributes: ReadonlyMap<string, Attribute>,
    outputs: readonly string[],
    name: string,
  ): Call {
    const label = labelOf({ name, outputs });
    const integers = (index: number): readonly number[] | undefined => {
      const input = inputs[index];
      return input === undefined ? undefined : this.#readIntegers(input, label);
    };
    return { operator, label, inputs, attributes, outputCount: outputs.length, integers };
  }

  #define(name: string, dtype: Dtype, shape: Shape): Value {
    if (this.#values.has(name)) {
      throw new FormatError("INVALID_MODEL", "two values have this name", { subject: name });
    }
    const value = { name, dtype, shape };
    this.#values.set(name, value);
    return value;
  }

  #freshName(kind: string): string {
    let name: string;
    do name = `${kind}.${this.#fresh++}`;
    while (this.#values.has(name) || this.#reserved.has(name));
    return name;
  }

  #constant(key: string, dtype: Dtype, shape: Shape, data: Float32Array | BigInt64Array): Value {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const bytes = bytesOf(data);
    const source = { kind: "memory", bytes } as const;
    const name = this.#freshName("constant");
    const value = this.initialiser({ name, dtype, shape, byteLength: bytes.length, source });
    this.#constants.set(key, value);
    return value;
  }

  #readIntegers(value: Value, label: string): readonly number[] {
    const known = this.#knownIntegers(value);
    if (known !== undefined) return known;
    throw new UnsupportedError("UNSUPPORTED_OPERATOR", `expected constant axes or sizes, got a computed value`, {
      subject: label,
    });
  }

  #knownIntegers({ name }: Value): readonly number[] | undefined {
    const tensor = this.#initialisers.get(name);
    if (tensor?.source.kind !== "memory" || tensor.dtype !== "i64") return this.#sizes.get(name);
    return Array.from(new BigInt64Array(tensor.source.bytes.slice().buffer), Number);
  }
}
