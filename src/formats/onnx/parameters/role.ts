/**
 * What a node does with a constant at one of its inputs, as the framework's layers name it: weight or bias.
 *
 * ONNX operators (opset 28) and ONNX Runtime's contrib operators (docs/ContribOperators.md). Operators that are not listed may
 * compute anything from a constant, such as a norm's weight plus one, so they give no name.
 */

import type { Shape } from "../../../core/shape.ts";
import type { OnnxNode } from "../model.ts";

export type Role = "weight" | "bias";

/** By operator, the role of each input. */
const ROLES: ReadonlyMap<string, readonly (Role | undefined)[]> = new Map([
  ["MatMul", ["weight", "weight"]],
  ["FusedMatMul", ["weight", "weight"]],
  ["Gemm", ["weight", "weight", "bias"]],
  ["FusedGemm", ["weight", "weight", "bias"]],
  ["Conv", [undefined, "weight", "bias"]],
  ["FusedConv", [undefined, "weight", "bias"]],
  ["ConvTranspose", [undefined, "weight", "bias"]],
  ["Gather", ["weight"]],
  ["LayerNormalization", [undefined, "weight", "bias"]],
  ["GroupNormalization", [undefined, "weight", "bias"]],
  ["InstanceNormalization", [undefined, "weight", "bias"]],
  ["BatchNormalization", [undefined, "weight", "bias"]],
]);

/** Operators whose weight is exported as it is, so that one without its name was changed by the exporter. */
export function isConvolution(opType: string): boolean {
  return opType === "Conv" || opType === "FusedConv" || opType === "ConvTranspose";
}

/** Which input of an operator holds the codes of a quantised weight. */
const QUANTIZED_INPUTS: ReadonlyMap<string, number> = new Map([
  ["MatMulNBits", 1],
  ["MatMulBnb4", 1],
  ["MatMulFpQ4", 1],
  ["MatMulInteger", 1],
  ["MatMulIntegerToFloat", 1],
  ["MatMulInteger16", 1],
  ["DynamicQuantizeMatMul", 1],
  ["QLinearMatMul", 3],
  ["QGemm", 3],
  ["QAttention", 1],
  ["ConvInteger", 1],
  ["QLinearConv", 3],
  ["GatherBlockQuantized", 0],
]);

export function roleOf({ opType, inputs }: OnnxNode, input: number, shape: Shape): Role | undefined {
  if (isQuantizedInput(opType, input)) return "weight";
  // The sum behind a product of more than two axes; anything but a vector is some other number.
  if (opType === "Add" && inputs.length === 2) return shape.length === 1 && shape[0] !== 1 ? "bias" : undefined;
  return ROLES.get(opType)?.[input];
}

export function isQuantizedInput(opType: string, input: number): boolean {
  return QUANTIZED_INPUTS.get(opType) === input;
}
