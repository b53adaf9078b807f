/**
 * Deltas that are products of two matrices other than the matrix product: Hadamard (LoHa) and Kronecker (LoKr).
 */

import type { MatrixProduct } from "../../adapters/edit.ts";
import type { MatrixView } from "../../adapters/matrix.ts";
import type { PrepareStep, StepContext } from "./tile.ts";

/** W += scale · (left1 · right1) ∘ (left2 · right2). */
export const prepareHadamard: PrepareStep<"hadamard"> = async (step, context) => {
  const first = prepareProductRows(step.first, context);
  const second = prepareProductRows(step.second, context);
  return async (tile) => {
    const a = await first(tile.rowStart, tile.rows);
    const b = await second(tile.rowStart, tile.rows);
    for (let index = 0; index < tile.values.length; index++) {
      tile.values[index] = (tile.values[index] ?? 0) + step.scale * (a[index] ?? 0) * (b[index] ?? 0);
    }
  };
};

/** W[i·c + p, j·d + q] += scale · first[i, j] · second[p, q]; second is [c, d]. */
export const prepareKronecker: PrepareStep<"kronecker"> = async (step, context) => {
  const first = await wholeMatrix(step.first, context);
  const second = await wholeMatrix(step.second, context);
  return async (tile) => {
    for (let row = 0; row < tile.rows; row++) {
      const firstRow = Math.floor((tile.rowStart + row) / second.rows) * first.columns;
      const secondRow = ((tile.rowStart + row) % second.rows) * second.columns;
      let at = row * tile.columns;
      for (let j = 0; j < first.columns; j++) {
        const factor = step.scale * (first.values[firstRow + j] ?? 0);
        for (let q = 0; q < second.columns; q++, at++) {
          tile.values[at] = (tile.values[at] ?? 0) + factor * (second.values[secondRow + q] ?? 0);
        }
      }
    }
  };
};

/** Rows of left · right, with `right` loaded once. */
function prepareProductRows(
  { left, right }: MatrixProduct,
  { gemm, loader }: StepContext,
): (start: number, count: number) => Promise<Float32Array> {
  const rightValues = loader.matrix(right);
  const [n, k] = [right.columns, left.columns];
  return async (start, count) => {
    const target = loader.pool.take(count * n);
    await gemm.multiply({ m: count, n, k, left: loader.rows(left, start, count), right: rightValues, target });
    return target;
  };
}

async function wholeMatrix(
  factor: MatrixView | MatrixProduct,
  context: StepContext,
): Promise<{ rows: number; columns: number; values: Float32Array }> {
  if ("tensor" in factor) {
    return { rows: factor.rows, columns: factor.columns, values: context.loader.matrix(factor) };
  }
  const { left, right } = factor;
  const values = await prepareProductRows(factor, context)(0, left.rows);
  return { rows: left.rows, columns: right.columns, values };
}
