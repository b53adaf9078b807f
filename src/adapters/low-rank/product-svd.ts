/**
 * The singular value decomposition of a product of factors in f64, without the product: orthonormal bases of both sides,
 * then the decomposition of the small matrix between them.
 *
 * left · right = Qₗ · (Rₗ · Rᵣᵀ) · Qᵣᵀ with left = Qₗ·Rₗ and rightᵀ = Qᵣ·Rᵣ (Golub and Van Loan, Matrix Computations,
 * 4th ed., section 5.4.5).
 */

import { transpose } from "../../core/linear-algebra/products.ts";
import { squareSvd } from "../../core/linear-algebra/square-svd.ts";
import type { Gemm } from "../../engine/gemm.ts";
import { squareSum } from "./choose-rank.ts";
import { orthonormalise } from "./orthonormal.ts";

/** A matrix as left [rows, rank] · right [rank, columns]. */
export interface FactorPair {
  readonly left: Float64Array;
  readonly right: Float64Array;
}

/** A matrix by its largest singular values. */
export interface LowRankSvd {
  /** Descending. */
  readonly values: Float64Array;
  /** Sum of the squares of the elements. */
  readonly size: number;
  /** What of the size an approximation of the rank leaves out. */
  readonly lost: (rank: number) => number;
  /**
   * The best approximation of a rank (Eckart, Young 1936), each side with the square roots of the singular values; zeros
   * where the rank is above the matrix's own.
   */
  readonly cut: (rank: number) => Promise<FactorPair>;
}

/**
 * @param left [rows, inner], finite
 * @param rightTurned [columns, inner], finite
 */
export async function productSvd(
  gemm: Gemm,
  left: Float64Array,
  rightTurned: Float64Array,
  { rows, inner, columns }: { readonly rows: number; readonly inner: number; readonly columns: number },
): Promise<LowRankSvd> {
  const outer = await orthonormalise(gemm, left, rows, inner);
  const input = await orthonormalise(gemm, rightTurned, columns, inner);
  const product = async (a: Float64Array, b: Float64Array, m: number, n = m, k = m) => {
    const target = new Float64Array(m * n);
    await gemm.multiply({ m, n, k, left: a, right: b, target, turnRight: true });
    return target;
  };
  const core = await product(outer.triangle, input.triangle, outer.size, input.size, inner);
  const size = Math.max(outer.size, input.size);
  const svd = await squareSvd(square(core, outer.size, input.size, size), size, product);
  const values = svd.values.subarray(0, Math.min(outer.size, input.size));
  const side = (vectors: Float64Array, own: number, rank: number) => {
    const coefficients = new Float64Array(own * rank);
    for (let index = 0; index < Math.min(rank, values.length); index++) {
      const root = Math.sqrt(values[index] ?? 0);
      for (let row = 0; row < own; row++) coefficients[row * rank + index] = root * (vectors[index * size + row] ?? 0);
    }
    return coefficients;
  };
  const cut = async (rank: number): Promise<FactorPair> => ({
    left: await outer.combine(side(svd.left, outer.size, rank), rank),
    right: transpose(await input.combine(side(svd.right, input.size, rank), rank), columns, rank),
  });
  return { values, size: squareSum(values), lost: (rank) => squareSum(values, rank), cut };
}

/** Padded with zeros. */
function square(matrix: Float64Array, rows: number, columns: number, size: number): Float64Array {
  if (rows === size && columns === size) return matrix;
  const out = new Float64Array(size * size);
  for (let row = 0; row < rows; row++) out.set(matrix.subarray(row * columns, (row + 1) * columns), row * size);
  return out;
}
