/**
 * The length of vectors, however many dimensions of 1 they have.
 */

import { elementCount, formatShape } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { problem } from "./report.ts";

/** Number of elements, whatever the dimensions: `[out]`, `[1, out, 1, 1]`. */
export function checkLength(tensor: TensorData, expected: number, what: string): void {
  if (elementCount(tensor.shape) === expected) return;
  throw problem(`expected ${expected} ${what}, got ${formatShape(tensor.shape)}`);
}
