/**
 * A graph as TensorFlow.js runs it: node by node, each value freed after its last use.
 */

import { MemoryError, UnsupportedError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { Graph, GraphNode } from "../../formats/onnx/graph.ts";
import { labelOf } from "../../graph/call.ts";
import { assertOperatorSet } from "../../graph/operator-set.ts";
import { isOperator, type Operator } from "../../graph/operators.ts";
import type { Program } from "../engine.ts";
import type { EngineTensor, EngineTensors } from "../tensor.ts";
import { isAllocationFailure } from "../worker-errors.ts";
import type { Tfjs } from "./backend.ts";
import { runNode } from "./run-node.ts";
import { assertDtype, fromEngineTensor, fromInitialiser, readValue, type TfjsValue, writeInto } from "./value.ts";

/** A node with the names of values that nothing reads after it. */
interface PlannedNode {
  readonly node: GraphNode;
  readonly operator: Operator;
  readonly label: string;
  readonly spent: readonly string[];
}

export class TfjsProgram implements Program {
  readonly #tf: Tfjs;
  readonly #graph: Graph;
  readonly #constants = new Map<string, TfjsValue>();
  readonly #plan: readonly PlannedNode[];

  /**
   * @throws {UnsupportedError} UNSUPPORTED_OPERATOR or UNSUPPORTED_DTYPE, which name the node or value; UNSUPPORTED_MODEL
   *   for an old operator set
   * @throws {MemoryError} when the weights do not fit
   */
  constructor(tf: Tfjs, graph: Graph) {
    this.#tf = tf;
    this.#graph = graph;
    assertOperatorSet(graph);
    for (const { name, dtype } of [...graph.inputs, ...graph.outputs]) assertDtype(dtype, name);
    try {
      this.#plan = this.#makePlan();
    } catch (error) {
      this.#disposeConstants();
      throw memoryError(error, graph);
    }
  }

  async run(feeds: EngineTensors, fetches?: ReadonlyMap<string, EngineTensor | undefined>): Promise<EngineTensors> {
    const wanted = fetches ?? new Map(this.#graph.outputs.map(({ name }) => [name, undefined]));
    const values = new Map(this.#constants);
    try {
      for (const { name } of this.#graph.inputs) {
        const feed = feeds.get(name);
        if (feed === undefined) throw new Error(`graph ${quote(this.#graph.name)} needs input ${quote(name)}`);
        values.set(name, fromEngineTensor(this.#tf, name, feed));
      }
      for (const planned of this.#plan) this.#runNode(planned, values, wanted);
      const results = new Map<string, EngineTensor>();
      for (const name of wanted.keys()) {
        const value = values.get(name);
        if (value === undefined) throw new Error(`graph has no output ${quote(name)}`);
        results.set(name, await readValue(value));
      }
      // Only now: a target may be the memory of a feed, and a result may share it.
      for (const [name, target] of wanted) {
        const result = results.get(name);
        if (target !== undefined && result !== undefined) results.set(name, writeInto(target, result));
      }
      return results;
    } catch (error) {
      throw memoryError(error, this.#graph);
    } finally {
      for (const [name, value] of values) if (!this.#constants.has(name)) value.dispose();
    }
  }

  async close(): Promise<void> {
    this.#disposeConstants();
  }

  #makePlan(): PlannedNode[] {
    for (const tensor of this.#graph.initialisers.values()) {
      this.#constants.set(tensor.name, fromInitialiser(this.#tf, tensor));
    }
    const nodes = this.#graph.nodes.filter((node) => !this.#takeConstant(node));
    const lastUses = new Map<string, GraphNode>();
    for (const node of nodes) for (const name of [...node.inputs, ...node.outputs]) lastUses.set(name, node);
    return nodes.map((node) => {
      const label = labelOf(node);
      const { opType, domain } = node;
      if (domain !== "" || !isOperator(opType)) throw noKernel(label, domain === "" ? opType : `${domain}.${opType}`);
      const names = new Set([...node.inputs, ...node.outputs]);
      return { node, operator: opType, label, spent: [...names].filter((name) => lastUses.get(name) === node) };
    });
  }

  /** Constant nodes are weights in another place. */
  #takeConstant({ opType, domain, attributes, outputs: [name = ""] }: GraphNode): boolean {
    const constant = attributes.get("value");
    if (domain !== "" || opType !== "Constant" || constant?.kind !== "tensor") return false;
    this.#constants.set(name, fromInitialiser(this.#tf, { ...constant.value, name }));
    return true;
  }

  #runNode(
    { node, operator, label, spent }: PlannedNode,
    values: Map<string, TfjsValue>,
    wanted: ReadonlyMap<string, unknown>,
  ): void {
    const inputs = node.inputs.map((name) => (name === "" ? undefined : requireValue(values, name)));
    for (const value of runNode(this.#tf, node, operator, label, inputs)) values.set(value.name, value);
    for (const name of spent) {
      if (name === "" || this.#constants.has(name) || wanted.has(name)) continue;
      values.get(name)?.dispose();
      values.delete(name);
    }
  }

  #disposeConstants(): void {
    for (const value of this.#constants.values()) value.dispose();
    this.#constants.clear();
  }
}

function requireValue(values: ReadonlyMap<string, TfjsValue>, name: string): TfjsValue {
  const value = values.get(name);
  if (value === undefined) throw new Error(`no value ${quote(name)}`);
  return value;
}

function noKernel(subject: string, operator: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_OPERATOR", `engine tfjs has no kernel for operator ${quote(operator)}`, {
    subject,
    hint: "use --engine onnxruntime",
  });
}

function memoryError(error: unknown, { name }: Graph): unknown {
  if (!isAllocationFailure(error)) return error;
  return new MemoryError("memory ran out while the graph was running", { subject: name, cause: error });
}
