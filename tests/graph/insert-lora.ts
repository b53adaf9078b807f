/**
 * A graph and the layers to adapt → the graph with adapters, whose factors are new inputs.
 *
 * Training adapts layers while it builds the graph (`train/step/step-graph.ts`); tests of adapters need one graph at a time.
 */

import type { Graph, GraphNode } from "../../src/formats/onnx/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/call.ts";
import { layerOf } from "../../src/graph/layer-of.ts";
import {
  type AdaptedValue,
  adaptEmbedding,
  adaptLinear,
  type LinearLayer,
  type LoraValues,
} from "../../src/graph/lora.ts";

export interface LoraTarget {
  /** Module path, the start of the names of the new inputs. */
  readonly module: string;
  /** Name of the value that the layer's node computes. */
  readonly output: string;
  readonly rank: number;
  /** The final multiplier s. */
  readonly scale: number;
  readonly dora?: boolean;
  /** Whether x is multiplied with a mask, fed at each step. */
  readonly dropout?: boolean;
}

/** Names of the inputs of one adapter. */
export interface LoraInputs {
  readonly module: string;
  /** [rank, in] */
  readonly down: string;
  /** [out, rank] */
  readonly up: string;
  /** [out] */
  readonly magnitude?: string;
  /** The shape of x; 0 or 1/(1 − p). */
  readonly dropoutMask?: string;
}

export interface LoraGraph {
  readonly graph: Graph;
  /** In the order of the targets. */
  readonly modules: readonly LoraInputs[];
  /** Values that gradients take as constants. */
  readonly detached: readonly string[];
}

export function insertLora(graph: Graph, targets: readonly LoraTarget[]): LoraGraph {
  const byOutput = new Map(targets.map((target) => [target.output, target]));
  const g = new GraphBuilder();
  g.declare(graph);
  const modules = new Map<LoraTarget, LoraInputs>();
  const detached: string[] = [];
  /** What stands for a value of the old graph where they differ. */
  const adapted = new Map<string, Value>();
  for (const old of graph.nodes) {
    const node = { ...old, inputs: old.inputs.map((input) => adapted.get(input)?.name ?? input) };
    const [output = ""] = node.outputs;
    const target = byOutput.get(output);
    if (target === undefined) {
      g.addNode(node);
      continue;
    }
    const { inputs, y, norms } = adaptNode(g, { ...node, outputs: [`${output}/base`] }, target);
    modules.set(target, inputs);
    adapted.set(output, y);
    if (norms !== undefined) detached.push(norms.name);
  }
  const outputs = new Map(graph.outputs.map(({ name }) => [name, adapted.get(name) ?? g.value(name)]));
  const ordered = targets.map((target) => {
    const inputs = modules.get(target);
    if (inputs !== undefined) return inputs;
    throw new Error(`no node computes ${target.output}`);
  });
  return { graph: g.toGraph(graph.name, outputs), modules: ordered, detached };
}

interface AdaptedNode extends AdaptedValue {
  readonly inputs: LoraInputs;
}

function adaptNode(g: GraphBuilder, node: GraphNode, target: LoraTarget): AdaptedNode {
  const call = g.callOf(node);
  const [base] = g.addNode(node);
  if (base === undefined) throw new Error(`${call.operator} has no result`);
  const layer = layerOf(call, base, target.module);
  if (call.operator === "Gather") {
    const { inputs, values } = declareInputs(g, target, layer, undefined);
    return { inputs, ...adaptEmbedding(g, base, layer.x, values) };
  }
  const { inputs, values } = declareInputs(g, target, layer, layer.x);
  return { inputs, ...adaptLinear(g, layer, values) };
}

/** The inputs of an adapter, for a table [in, out] or for a linear layer with rows x. */
function declareInputs(
  g: GraphBuilder,
  { module, rank, scale, dora, dropout }: LoraTarget,
  { weight, transposed }: Pick<LinearLayer, "weight" | "transposed">,
  x: Value | undefined,
): { readonly inputs: LoraInputs; readonly values: LoraValues } {
  const [rows = 0, columns = 0] = weight.shape;
  const [width, outputs] = transposed ? [columns, rows] : [rows, columns];
  const down = g.input(`${module}/down`, "f32", [rank, width]);
  const up = g.input(`${module}/up`, "f32", [outputs, rank]);
  const magnitude = dora ? g.input(`${module}/magnitude`, "f32", [outputs]) : undefined;
  const dropoutMask = dropout && x ? g.input(`${module}/dropout`, "f32", x.shape) : undefined;
  return {
    inputs: {
      module,
      down: down.name,
      up: up.name,
      ...(magnitude !== undefined && { magnitude: magnitude.name }),
      ...(dropoutMask !== undefined && { dropoutMask: dropoutMask.name }),
    },
    values: { down, up, scale, ...(magnitude && { magnitude }), ...(dropoutMask && { dropoutMask }) },
  };
}
