/**
 * Whether two tensors hold the same bytes, read side by side in pieces; tensors of different dtypes never do.
 */

import { readTensorRangeSync } from "../formats/byte-source.ts";
import type { TensorData } from "../formats/tensor-store.ts";

const PIECE_BYTES = 4 * 1024 * 1024;

/** Stops at the first difference. */
export function sameNumbers(a: TensorData, b: TensorData): boolean {
  if (a.dtype !== b.dtype || a.byteLength !== b.byteLength) return false;
  for (let start = 0; start < a.byteLength; start += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, a.byteLength - start);
    const [left, right] = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)];
    readTensorRangeSync(a, start, left);
    readTensorRangeSync(b, start, right);
    if (!left.equals(right)) return false;
  }
  return true;
}
