/**
 * W[rowStart…, columnStart…] += scale · left [m, k] · diag(diagonal) · right [k, n], by the engine's GEMM in f32.
 *
 * The scale, the diagonal and the factors of rows go into `left`, those of columns into `right`, in double precision and
 * rounded once to f32.
 */

import { addToTile, type PrepareStep, rowsInTile } from "./tile.ts";

export const prepareLowRank: PrepareStep<"low-rank"> = async (step, { gemm, loader, columns }) => {
  const { left, right, rowStart, columnStart, scale } = step;
  const k = left.columns;
  const rightValues = loader.matrix(right);
  const [diagonal, rowFactors, columnFactors] = [step.diagonal, step.rowFactors, step.columnFactors].map((tensor) =>
    tensor === undefined ? undefined : loader.vector(tensor),
  );
  if (columnFactors !== undefined) {
    for (let index = 0; index < rightValues.length; index++) {
      rightValues[index] = (rightValues[index] ?? 0) * (columnFactors[index % right.columns] ?? 0);
    }
  }
  const wholeRows = columnStart === 0 && right.columns === columns;

  return async (tile) => {
    const { from, count: m } = rowsInTile(tile, rowStart, left.rows);
    if (m <= 0 || k === 0) return;
    const leftValues = loader.rows(left, from - rowStart, m);
    for (let index = 0; index < leftValues.length; index++) {
      const rowFactor = rowFactors === undefined ? 1 : (rowFactors[from - rowStart + Math.floor(index / k)] ?? 0);
      const factor = diagonal === undefined ? 1 : (diagonal[index % k] ?? 0);
      leftValues[index] = scale * (leftValues[index] ?? 0) * factor * rowFactor;
    }
    if (wholeRows) {
      const target = tile.values.subarray((from - tile.rowStart) * columns, (from - tile.rowStart + m) * columns);
      await gemm.accumulate({ m, n: columns, k, left: leftValues, right: rightValues, target });
      return;
    }
    const product = loader.pool.take(m * right.columns);
    await gemm.multiply({ m, n: right.columns, k, left: leftValues, right: rightValues, target: product });
    addToTile(tile, from, columnStart, product, right.columns);
  };
};
