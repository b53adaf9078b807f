/**
 * One node on TensorFlow.js: its rule of types settles the shapes, its kernel computes.
 */

import type { GraphNode } from "../../formats/onnx/graph.ts";
import type { Call } from "../../graph/call.ts";
import { INFERENCE_RULES } from "../../graph/infer/infer.ts";
import type { Operator } from "../../graph/operators.ts";
import type { Tfjs } from "./backend.ts";
import { KERNELS } from "./kernels/kernels.ts";
import { assertDtype, TfjsValue } from "./value.ts";

/** The values of the node's outputs; what the kernel makes on the way is freed. */
export function runNode(
  tf: Tfjs,
  node: GraphNode,
  operator: Operator,
  label: string,
  inputs: readonly (TfjsValue | undefined)[],
): readonly TfjsValue[] {
  const call: Call = {
    operator,
    label,
    inputs,
    attributes: node.attributes,
    outputCount: node.outputs.length,
    integers: (index) => inputs[index]?.integers,
  };
  const results = INFERENCE_RULES[operator](call);
  for (const { dtype } of results) assertDtype(dtype, label);
  const kernelCall = { ...call, tf, results, tensor: (index: number) => inputs[index]?.tensor };
  const tensors = tf.tidy(() => [...KERNELS[operator](kernelCall)]);
  return results.map(({ dtype, shape }, index) => {
    const [name, tensor] = [node.outputs[index], tensors[index]];
    if (name === undefined || tensor === undefined) throw new Error(`${operator} has no result ${index}`);
    return new TfjsValue(tf, name, dtype, { shape, tensor });
  });
}
