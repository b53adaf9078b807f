/**
 * Whether the weight of a node holds a batch norm: exporters multiply it into the layer before it, whose values are then not
 * those that an adapter was trained on.
 */

import type { OnnxNode } from "../model.ts";
import type { TracedFrom } from "./node-path.ts";
import { isConvolution } from "./role.ts";

/** The newer exporter names values after its calls; a batch norm's is the first of several results, a layer has only one. */
const FIRST_OF_SEVERAL = /^getitem(?:_\d+)?$/;

/**
 * @param keepsName the weight has the name of a parameter; TorchScript's exporter takes it from weights that it changes
 */
export function holdsBatchNorm(node: OnnxNode, origin: TracedFrom | undefined, keepsName: boolean): boolean {
  const { opType, inputs, outputs } = node;
  if (opType === "BatchNormalization") return false;
  if (origin?.isBatchNorm === true || (isConvolution(opType) && !keepsName)) return true;
  if (!isConvolution(opType) && opType !== "Gemm") return false;
  // What is left of the newer exporter's words where a tool has dropped the metadata.
  const [, weight = "", bias] = inputs;
  return FIRST_OF_SEVERAL.test(outputs[0] ?? "") || (weight.endsWith(".weight") && bias === `${weight}_bias`);
}
