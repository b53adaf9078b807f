/**
 * Elements of a matrix view as they are stored, gathered into C order.
 *
 * A view whose rows lie apart in the file is read in one piece up to a limit, and line by line beyond it.
 */

import { DTYPE_BITS } from "../../core/dtype.ts";
import { readTensorRangeSync } from "../../formats/byte-source.ts";
import type { MatrixView } from "../matrix.ts";

/** A turned factor of a large embedding: 250,000 rows of rank 64 in f32. */
const SPAN_BYTES = 64 * 1024 * 1024;

/** Rows and columns of a square of a transposition. */
const SQUARE = 64;

/** [rows, columns] of the view, C order, in a buffer of its own. */
export function readElements(view: MatrixView): Uint8Array {
  const { tensor, rows, columns, offset, rowStride, columnStride } = view;
  const width = DTYPE_BITS[tensor.dtype] / 8;
  const out = new Uint8Array(rows * columns * width);
  const span = (rows - 1) * rowStride + (columns - 1) * columnStride + 1;
  if (span === rows * columns && (columnStride === 1 || columns === 1)) {
    readTensorRangeSync(tensor, offset * width, out);
    return out;
  }
  if (span * width <= SPAN_BYTES) {
    const stored = new Uint8Array(span * width);
    readTensorRangeSync(tensor, offset * width, stored);
    gather(stored, out, view, width);
    return out;
  }
  // One read for each line along the larger stride: its elements lie closest together.
  const byRow = rowStride >= columnStride;
  const [lines, lineStride] = byRow ? [rows, rowStride] : [columns, columnStride];
  const line = byRow ? { ...view, rows: 1 } : { ...view, columns: 1 };
  for (let index = 0; index < lines; index++) {
    const read = readElements({ ...line, offset: offset + index * lineStride });
    if (byRow) out.set(read, index * columns * width);
    else {
      const [from, to] = [elementsOf(read, width), elementsOf(out, width)];
      for (let row = 0; row < rows; row++) to[row * columns + index] = from[row] ?? 0;
    }
  }
  return out;
}

/** Square by square: of a turned view, lines of a whole matrix would not stay in a core's first-level cache. */
function gather(stored: Uint8Array, out: Uint8Array, view: MatrixView, width: number): void {
  const { rows, columns, rowStride, columnStride } = view;
  const [from, to] = [elementsOf(stored, width), elementsOf(out, width)];
  for (let firstRow = 0; firstRow < rows; firstRow += SQUARE) {
    const lastRow = Math.min(rows, firstRow + SQUARE);
    for (let firstColumn = 0; firstColumn < columns; firstColumn += SQUARE) {
      const lastColumn = Math.min(columns, firstColumn + SQUARE);
      for (let row = firstRow; row < lastRow; row++) {
        for (let column = firstColumn; column < lastColumn; column++) {
          to[row * columns + column] = from[row * rowStride + column * columnStride] ?? 0;
        }
      }
    }
  }
}

/** Bytes seen as whole elements, to be moved and not computed with. */
export function elementsOf({ buffer, byteOffset, byteLength }: Uint8Array, width: number): Elements {
  if (width === 8) return new BigUint64Array(buffer, byteOffset, byteLength / 8);
  if (width === 4) return new Uint32Array(buffer, byteOffset, byteLength / 4);
  if (width === 2) return new Uint16Array(buffer, byteOffset, byteLength / 2);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export interface Elements {
  [index: number]: number | bigint;
}
