/**
 * A matrix inside a tensor, by strides: transposes, slices and expert blocks of adapter factors without copying them.
 *
 * Element (row, column) is element `offset + row · rowStride + column · columnStride` of the flattened tensor. A view is
 * plain data, so it can be handed to a worker thread.
 */

import type { TensorData } from "../formats/tensor-store.ts";

export interface MatrixView {
  readonly tensor: TensorData;
  readonly rows: number;
  readonly columns: number;
  /** In elements, like both strides. */
  readonly offset: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/** The tensor as [rows, columns] in C order; `rows · columns` must be its element count. */
export function matrixOf(tensor: TensorData, rows: number, columns: number): MatrixView {
  return { tensor, rows, columns, offset: 0, rowStride: columns, columnStride: 1 };
}

/** [rows, columns] → [columns, rows]. */
export function transpose(view: MatrixView): MatrixView {
  return {
    ...view,
    rows: view.columns,
    columns: view.rows,
    rowStride: view.columnStride,
    columnStride: view.rowStride,
  };
}

/** Rows `start`, `start + step`, … of the view, `count` of them. */
export function sliceRows(view: MatrixView, start: number, count: number, step = 1): MatrixView {
  return {
    ...view,
    rows: count,
    offset: view.offset + start * view.rowStride,
    rowStride: view.rowStride * step,
  };
}

/** Columns `start`, `start + step`, … of the view, `count` of them. */
export function sliceColumns(view: MatrixView, start: number, count: number, step = 1): MatrixView {
  return transpose(sliceRows(transpose(view), start, count, step));
}
