/**
 * Numbers of adapter factors, read by range and widened to f32: rows of a `MatrixView`, whatever its strides.
 *
 * Synchronous, for worker threads that compute on one tile at a time.
 */

import type { Kernels } from "../core/cast/kernels.ts";
import { type FloatDtype, floatBytes, isFloatDtype } from "../core/dtype.ts";
import { UnsupportedError } from "../core/errors.ts";
import { elementCount } from "../core/shape.ts";
import { readTensorRangeSync } from "../formats/byte-source.ts";
import { placeOf, type TensorData } from "../formats/tensor-store.ts";
import { FloatPool } from "./float-pool.ts";
import type { MatrixView } from "./matrix.ts";

/** Bytes read at once; what is read lies in a core's second-level cache when it is widened. */
const CHUNK_BYTES = 256 * 1024;

export class MatrixLoader {
  /** Where the arrays come from; a `scope` of it bounds how long they may be used. */
  readonly pool: FloatPool = new FloatPool();
  readonly #kernels: Kernels;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
  }

  /** All elements of a tensor, C order. */
  vector(tensor: TensorData): Float32Array {
    return this.#read(tensor, 0, this.pool.take(elementCount(tensor.shape) ?? 0));
  }

  /** The whole view as [rows, columns]. */
  matrix(view: MatrixView): Float32Array {
    return this.rows(view, 0, view.rows);
  }

  /** Rows `start` … `start + count` of the view as [count, columns], C order. */
  rows(view: MatrixView, start: number, count: number): Float32Array {
    const { tensor, columns, rowStride, columnStride } = view;
    const first = view.offset + start * rowStride;
    const out = this.pool.take(count * columns);
    if (columnStride === 1 && rowStride === columns) return this.#read(tensor, first, out);

    // Lines along the larger stride, since their elements lie closest together; one read takes those that lie side by side.
    const byRow = rowStride >= columnStride;
    const [lines, lineStride, length, stride] = byRow
      ? [count, rowStride, columns, columnStride]
      : [columns, columnStride, count, rowStride];
    const [outLine, outStep] = byRow ? [columns, 1] : [1, columns];
    const used = (length - 1) * stride + 1;
    const together = lineStride <= 2 * used ? Math.max(1, Math.floor(CHUNK_BYTES / 4 / lineStride)) : 1;
    const values = this.pool.take(Math.max(0, Math.min(together, lines) - 1) * lineStride + used);
    for (let line = 0; line < lines; line += together) {
      const own = Math.min(together, lines - line);
      this.#read(tensor, first + line * lineStride, values.subarray(0, (own - 1) * lineStride + used));
      for (let at = 0; at < own; at++) {
        for (let index = 0; index < length; index++) {
          out[(line + at) * outLine + index * outStep] = values[at * lineStride + index * stride] ?? 0;
        }
      }
    }
    return out;
  }

  /** Fills `out` with the elements of the flattened tensor from `start` on. */
  #read(tensor: TensorData, start: number, out: Float32Array): Float32Array {
    const dtype = floatDtypeOf(tensor);
    const width = floatBytes(dtype);
    const chunkElements = CHUNK_BYTES / width;
    for (let done = 0; done < out.length; done += chunkElements) {
      const elements = Math.min(chunkElements, out.length - done);
      const raw = this.#chunk.subarray(0, elements * width);
      readTensorRangeSync(tensor, (start + done) * width, raw);
      this.#kernels.widen(dtype, raw, out.subarray(done, done + elements));
    }
    return out;
  }
}

/**
 * The tensor's dtype (or another that it shall get), as one that has arithmetic here.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE naming the tensor
 */
export function floatDtypeOf(tensor: TensorData, dtype = tensor.dtype): FloatDtype {
  if (isFloatDtype(dtype)) return dtype;
  throw new UnsupportedError("UNSUPPORTED_DTYPE", `no arithmetic is defined for ${dtype}`, placeOf(tensor));
}
