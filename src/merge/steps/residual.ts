/**
 * W −= weight · what PiSSA or OLoRA took out of the base when the adapter was initialised, recomputed from the base.
 *
 * Needs the whole tensor in f64; the factors are applied like any low-rank delta.
 */

import { NonFiniteError } from "../../core/errors.ts";
import { oloraFactors, pissaFactors } from "../../core/linear-algebra/initialisation.ts";
import { transpose } from "../../core/linear-algebra/products.ts";
import { placeOf, type TensorData } from "../../formats/tensor-store.ts";
import type { PrepareStep } from "./tile.ts";

/** @throws {NonFiniteError} naming the tensor: no decomposition is defined for NaN and infinity */
export const prepareResidual: PrepareStep<"residual"> = async (step, { gemm, source, rows, columns, forEachTile }) => {
  const weights = new Float64Array(rows * columns);
  let nonFinite = 0;
  await forEachTile(async (tile) => {
    for (let row = 0; row < tile.rows; row++) {
      for (let column = 0; column < columns; column++) {
        const value = tile.values[row * columns + column] ?? 0;
        if (!Number.isFinite(value)) nonFinite++;
        const [i, j] = [tile.rowStart + row, column];
        weights[step.transposed ? j * rows + i : i * columns + j] = value;
      }
    }
  });
  if (nonFinite > 0) throw notDecomposable(source, nonFinite, rows * columns);
  const [outputs, inputs] = step.transposed ? [columns, rows] : [rows, columns];
  const factors =
    step.initialisation === "pissa"
      ? pissaFactors(weights, outputs, inputs, step.rank)
      : oloraFactors(weights, outputs, inputs, step.rank);
  // left [outputs, rank] · right [rank, inputs]; a transposed view takes rightᵀ · leftᵀ.
  const k = step.rank;
  const [left, right] = step.transposed
    ? [transpose(factors.right, k, inputs), transpose(factors.left, outputs, k)]
    : [factors.left, factors.right];
  const scale = -step.weight * (step.initialisation === "olora" ? step.scale : 1);
  const right32 = Float32Array.from(right);

  return async (tile) => {
    const start = tile.rowStart * k;
    const left32 = Float32Array.from(left.subarray(start, start + tile.rows * k), (value) => scale * value);
    await gemm.accumulate({ m: tile.rows, n: columns, k, left: left32, right: right32, target: tile.values });
  };
};

function notDecomposable(tensor: TensorData, count: number, total: number): NonFiniteError {
  return new NonFiniteError(`${count} of ${total} weights are not finite, what the initialisation took is undefined`, {
    ...placeOf(tensor),
    hint: "the base itself holds NaN or infinity there",
  });
}
