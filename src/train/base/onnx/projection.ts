/**
 * Where an exported model's last projection starts, so that logits can be computed for some rows at a time.
 *
 * From the logits backwards: nodes that treat every row alike (casts, scaling, soft caps, biases), until the product of
 * rows by a constant matrix. Where something else comes first, the logits themselves count as the last hidden rows:
 * right as well, only that all of them exist at once.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { readTensorBytes } from "../../../formats/byte-source.ts";
import type { Attribute, Graph, GraphNode } from "../../../formats/onnx/graph.ts";

export interface Projection {
  /** The output of the graph. */
  readonly output: string;
  /** The value that the logits are computed from, row by row; the logits themselves where `chain` is empty. */
  readonly hidden: string;
  /** The output, or the same rows before they are put into batches. */
  readonly logits: string;
  /** From the product to the logits. */
  readonly chain: readonly GraphNode[];
}

type Producers = ReadonlyMap<string, GraphNode>;

/** Work on each element, or with a constant for each column. */
const ROW_WISE: ReadonlySet<string> = new Set(["Identity", "Cast", "Dropout", "Tanh", "Mul", "Div", "Add", "Sub"]);

/** @throws {UnsupportedError} UNSUPPORTED_MODEL when it is unclear which output holds the logits */
export function findProjection(graph: Graph): Projection {
  const output = logitsOf(graph);
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const constants = constantNames(graph);
  const whole = { output, hidden: output, logits: output, chain: [] };
  let batching = producers.get(output);
  while (batching?.opType === "Identity") batching = producers.get(batching.inputs[0] ?? "");
  const logits = batching?.opType === "Reshape" ? (batching.inputs[0] ?? output) : output;
  const chain: GraphNode[] = [];
  for (let at = logits; ; ) {
    const node = producers.get(at);
    if (node === undefined || node.domain !== "" || node.outputs[0] !== at) return whole;
    chain.unshift(node);
    const [first, second] = node.inputs;
    if (isProduct(node) && first !== undefined && second !== undefined && constants.has(second)) {
      const keepsRows =
        logits === output || lastSize(graph, producers, batching?.inputs[1]) === columnsOf(graph, producers, node);
      return constants.has(first) || !keepsRows ? whole : { output, hidden: first, logits, chain };
    }
    const varying = node.inputs.filter((input) => input !== "" && !constants.has(input));
    const [next, more] = varying;
    const others = node.inputs.filter((input) => input !== "" && input !== next);
    const isRowWise = ROW_WISE.has(node.opType) && others.every((input) => isOneRow(graph, producers, input));
    if (next === undefined || more !== undefined || !isRowWise) return whole;
    at = next;
  }
}

/** Rows by a matrix. */
function isProduct({ opType, attributes }: GraphNode): boolean {
  return opType === "MatMul" || (opType === "Gemm" && intOf(attributes.get("transA")) === 0);
}

function intOf(attribute: Attribute | undefined): number {
  return attribute?.kind === "int" ? Number(attribute.value) : 0;
}

/** How many columns a product has; `undefined` where its matrix is not stored as it is, but for its dtype. */
function columnsOf(graph: Graph, producers: Producers, { inputs, attributes }: GraphNode): number | undefined {
  const name = inputs[1] ?? "";
  const cast = producers.get(name);
  const shape = graph.initialisers.get(cast?.opType === "Cast" ? (cast.inputs[0] ?? "") : name)?.shape;
  return shape?.at(intOf(attributes.get("transB")) === 0 ? 1 : 0);
}

/** The last of the sizes that a Reshape asks for, where it is a constant. */
function lastSize({ initialisers }: Graph, producers: Producers, name = ""): number | undefined {
  const joined = producers.get(name);
  const tensor = initialisers.get(joined?.opType === "Concat" ? (joined.inputs.at(-1) ?? "") : name);
  if (tensor?.dtype !== "i64" || tensor.byteLength === 0) return undefined;
  const bytes = readTensorBytes(tensor).slice(-8);
  return Number(new BigInt64Array(bytes.buffer)[0]);
}

function logitsOf({ name, outputs }: Graph): string {
  const [only, more] = outputs;
  const found = outputs.find((output) => output.name === "logits") ?? (more === undefined ? only : undefined);
  if (found !== undefined) return found.name;
  throw new UnsupportedError("UNSUPPORTED_MODEL", "expected an output with the name logits", {
    subject: name,
    hint: "export a causal language model with its head",
  });
}

/** Initialisers, and what nodes compute from nothing else. */
function constantNames({ initialisers, nodes }: Graph): Set<string> {
  const names = new Set(initialisers.keys());
  for (const { inputs, outputs, attributes } of nodes) {
    const hasBody = [...attributes.values()].some(({ kind }) => kind === "graph");
    if (!hasBody && inputs.every((input) => input === "" || names.has(input)))
      for (const one of outputs) names.add(one);
  }
  return names;
}

/** A stored number or one for each column: it is added to, or multiplies, every row alike. */
function isOneRow({ initialisers }: Graph, producers: Producers, name: string): boolean {
  const value = producers.get(name)?.attributes.get("value");
  const shape = value?.kind === "tensor" ? value.value.shape : initialisers.get(name)?.shape;
  return shape?.slice(0, -1).every((size) => size === 1) === true;
}
