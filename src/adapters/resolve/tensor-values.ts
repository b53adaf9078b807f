/**
 * Numbers of small adapter tensors in double precision.
 */

import { decodeElement } from "../../core/cast/float-codec.ts";
import { DTYPE_BITS } from "../../core/dtype.ts";
import { readTensorBytes } from "../../formats/byte-source.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { floatDtypeOf } from "../load-matrix.ts";
import type { MatrixView } from "../matrix.ts";

/** All elements, C order. */
export function readNumbers(tensor: TensorData): Float64Array {
  const dtype = floatDtypeOf(tensor);
  const width = DTYPE_BITS[dtype] / 8;
  const bytes = readTensorBytes(tensor);
  return Float64Array.from({ length: bytes.byteLength / width }, (_, index) =>
    decodeElement(dtype, bytes, index * width),
  );
}

/** Whether two views hold equal numbers. */
export function sameMatrix(a: MatrixView, b: MatrixView): boolean {
  if (a.rows !== b.rows || a.columns !== b.columns) return false;
  const [left, right] = [readNumbers(a.tensor), readNumbers(b.tensor)];
  for (let row = 0; row < a.rows; row++) {
    for (let column = 0; column < a.columns; column++) {
      const first = left[a.offset + row * a.rowStride + column * a.columnStride];
      if (first !== right[b.offset + row * b.rowStride + column * b.columnStride]) return false;
    }
  }
  return true;
}
