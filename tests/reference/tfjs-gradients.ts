/**
 * Gradients of a graph by TensorFlow.js' own reverse mode: the graph runs forwards on the kernels of the tfjs engine, and
 * tfjs-core differentiates what they called. It shares no rule with `src/graph/rules`.
 */

// The package's entry for Node leaves the gradients out.
import "@tensorflow/tfjs-core/dist/base_side_effects.js";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import type { Tensor } from "@tensorflow/tfjs-core";
import { openBackend } from "../../src/engine/tfjs/backend.ts";
import { runNode } from "../../src/engine/tfjs/run-node.ts";
import { fromEngineTensor, fromInitialiser, TfjsValue } from "../../src/engine/tfjs/value.ts";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import type { Operator } from "../../src/graph/operators.ts";
import { toTensor } from "../graph/numbers.ts";
import { PLAIN_TFJS } from "../support/tfjs.ts";
import type { Numbers } from "./evaluate-graph.ts";

/**
 * What tfjs-core 4.22 differentiates wrongly: its Maximum and Minimum do not sum over axes that were broadcast, its Cumsum
 * turns the axes twice; for ScatterND it has no gradient.
 */
const WITHOUT_GRADIENT: ReadonlySet<Operator> = new Set(["Max", "Min", "CumSum", "ScatterElements"]);

export function hasTfjsGradient(operator: Operator): boolean {
  return !WITHOUT_GRADIENT.has(operator);
}

/** ∂loss/∂input for each f32 input of `wrt`. */
export async function tfjsGradients(
  graph: Graph,
  feeds: ReadonlyMap<string, Numbers>,
  loss: string,
  wrt: readonly string[],
): Promise<Map<string, Numbers>> {
  const { tf } = await openBackend("cpu", PLAIN_TFJS);
  const feedOf = (name: string): Numbers => feeds.get(name) ?? { shape: [], data: [] };
  const forward = (...tensors: Tensor[]): Tensor => {
    const values = new Map<string, TfjsValue>();
    for (const tensor of graph.initialisers.values()) values.set(tensor.name, fromInitialiser(tf, tensor));
    for (const { name, dtype } of graph.inputs) {
      const tensor = tensors[wrt.indexOf(name)];
      const { shape } = feedOf(name);
      values.set(
        name,
        tensor === undefined
          ? fromEngineTensor(tf, name, toTensor(dtype, feedOf(name)))
          : new TfjsValue(tf, name, dtype, { shape, tensor }),
      );
    }
    for (const node of graph.nodes) {
      const inputs = node.inputs.map((name) => values.get(name));
      for (const value of runNode(tf, node, node.opType as Operator, "", inputs)) values.set(value.name, value);
    }
    const result = values.get(loss);
    if (result === undefined) throw new Error(`no value ${loss}`);
    return tf.reshape(result.tensor, []);
  };
  const points = wrt.map((name) => tf.tensor(Float32Array.from(feedOf(name).data), [...feedOf(name).shape]));
  const gradients = tf.grads(forward)(points);
  return new Map(
    gradients.map((tensor, index) => [wrt[index] ?? "", { shape: tensor.shape, data: [...tensor.dataSync()] }]),
  );
}
