/**
 * What a kernel is given: the operator's use with its shapes settled, and its inputs as tensors.
 */

import type { Tensor } from "@tensorflow/tfjs-core";
import type { Shape } from "../../../core/shape.ts";
import { type Call, inputOf, unsupported, type ValueType } from "../../../graph/call.ts";
import type { Tfjs } from "../backend.ts";

export interface KernelCall extends Call {
  readonly tf: Tfjs;
  /** Types of the results, as the operator's rule gives them. */
  readonly results: readonly ValueType[];
  tensor(index: number): Tensor | undefined;
}

/** New tensors, one for each result; none of them is an input itself. */
export type Kernel = (call: KernelCall) => readonly Tensor[];

/** An input that the operator needs. */
export function tensorOf(call: KernelCall, index: number): Tensor {
  const tensor = call.tensor(index);
  if (tensor === undefined) throw new Error(`${call.operator}: input ${index} of ${call.label} is missing`);
  return tensor;
}

/** The shape of the first result. */
export function resultShape({ results }: KernelCall): number[] {
  return shapeList(results[0]?.shape ?? []);
}

/** tfjs-core takes lists that could be written to. */
export function shapeList(shape: Shape): number[] {
  return [...shape];
}

/** tfjs-core rounds quotients and means of integers otherwise than ONNX. */
export function assertFloats(call: KernelCall): void {
  const { dtype } = inputOf(call, 0);
  if (dtype !== "f32") throw unsupported(call, `engine tfjs computes it in f32 only, got ${dtype}`);
}
