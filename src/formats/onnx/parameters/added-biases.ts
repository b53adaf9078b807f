/**
 * Products → the module whose bias is added to them, by the name of the bias.
 *
 * Tools that rewrite graphs (onnxsim, onnxslim, ONNX Runtime's optimiser) drop the metadata of the newer exporter and rename
 * nodes; a bias keeps its name, because no exporter turns it. What it is added to is the product of the same layer.
 */

import type { OnnxGraph } from "../model.ts";
import type { WeightUse } from "../weight-uses.ts";
import { parameterPathOf } from "./key-path.ts";

/** Operators whose second input is a weight and whose third, if any, is the bias. */
const PRODUCTS: ReadonlySet<string> = new Set(["MatMul", "FusedMatMul", "Gemm", "FusedGemm", "Conv", "FusedConv"]);

/** The module of a weight, where a bias of its length tells; `undefined` for other inputs and for results with two biases. */
export function modulesByBias(
  uses: ReadonlyMap<string, readonly WeightUse[]>,
  fromBuilder: boolean,
): (use: WeightUse) => string | undefined {
  const found = new Map<string, { readonly module: string; readonly length: number } | undefined>();
  for (const use of [...uses.values()].flat()) {
    const { constant, node, input, graph } = use;
    const [length, ...others] = constant.tensor.data.shape;
    const result = biasedResult(use);
    if (result === undefined || length === undefined || others.length > 0) continue;
    const path = parameterPathOf(node.inputs[input] ?? "", fromBuilder) ?? parameterPathOf(constant.name, fromBuilder);
    if (path?.endsWith(".bias") !== true) continue;
    const key = valueKey(graph, result);
    found.set(key, found.has(key) ? undefined : { module: path.slice(0, -".bias".length), length });
  }
  return ({ node, input, graph, constant }) => {
    if (input !== 1 || !PRODUCTS.has(node.opType)) return undefined;
    const bias = found.get(valueKey(graph, node.outputs[0] ?? ""));
    return bias !== undefined && constant.tensor.data.shape.includes(bias.length) ? bias.module : undefined;
  };
}

/** The value that a constant is added to: the other operand of a sum, or the node's own product. */
function biasedResult({ node, input }: WeightUse): string | undefined {
  if (node.opType === "Add") return node.inputs[1 - input];
  return PRODUCTS.has(node.opType) && input === 2 ? node.outputs[0] : undefined;
}

function valueKey({ scope }: OnnxGraph, value: string): string {
  return `${scope}/${value}`;
}
