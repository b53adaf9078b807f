/**
 * Whether two tensors hold equal numbers in different dtypes.
 */

import { readNumbers } from "../../adapters/resolve/tensor-values.ts";
import type { TensorData } from "../../formats/tensor-store.ts";

/** Of equal shapes; tensors of one dtype are told apart by their bytes and are not looked at again. */
export function sameValues(a: TensorData, b: TensorData): boolean {
  if (a.dtype === b.dtype) return false;
  const [left, right] = [readNumbers(a), readNumbers(b)];
  return left.every((value, index) => value === right[index]);
}
