/**
 * The columns of a tall matrix as orthonormal columns times a triangle, by Cholesky factors of the Gram matrix, in f64.
 *
 * Nearly all the work is matrix products, which the engine does twenty times faster than JavaScript reflects vectors. One
 * pass loses orthogonality with the square of the condition, so passes go on until the columns are well conditioned; they
 * shift the diagonal where they must (shifted CholeskyQR: Fukaya, Kannan, Nakatsukasa, Yamamoto and Yanagisawa, SIAM J.
 * Sci. Comput. 42, 2020). A column that depends on others ends as a direction of a weight near 0.
 */

import { cholesky, invertUpper } from "../../core/linear-algebra/cholesky.ts";
import type { Gemm } from "../../engine/gemm.ts";

/** matrix = basis [length, size] · triangle [size, width]; the basis is orthonormal, and is not written out. */
export interface Orthonormal {
  readonly size: number;
  readonly triangle: Float64Array;
  /** basis · coefficients [size, count] → [length, count] */
  readonly combine: (coefficients: Float64Array, count: number) => Promise<Float64Array>;
}

/** Added to Gram matrices of unit vectors that are singular: above the rounding of their elements. */
const SHIFT = 1e-11;

/** ‖R⁻¹‖² times the rounding of a Gram matrix is what the basis misses of being orthonormal: 1e-9. */
const WELL_CONDITIONED = 1e6;

/** Each shifted pass makes a dependent column 1e5 times more independent; after 64 bits nothing is left of it. */
const MAX_PASSES = 6;

/** @param matrix [length, width], finite */
export async function orthonormalise(
  gemm: Gemm,
  matrix: Float64Array,
  length: number,
  width: number,
): Promise<Orthonormal> {
  // As many columns as dimensions, or more: the axes themselves.
  if (width >= length) return { size: length, triangle: matrix, combine: async (coefficients) => coefficients };
  let columns = matrix;
  let triangle: Float64Array | undefined;
  for (let pass = 1; ; pass++) {
    const { upper, inverse, condition } = await factorGram(gemm, columns, length, width);
    const times = async (left: Float64Array, rows: number, right: Float64Array, count: number) => {
      const target = new Float64Array(rows * count);
      await gemm.multiply({ m: rows, n: count, k: width, left, right, target });
      return target;
    };
    triangle = triangle === undefined ? upper : await times(upper, width, triangle, width);
    if (condition <= WELL_CONDITIONED || pass === MAX_PASSES) {
      const combine = async (coefficients: Float64Array, count: number) =>
        times(columns, length, await times(inverse, width, coefficients, count), count);
      return { size: width, triangle, combine };
    }
    columns = await times(columns, length, inverse, width);
  }
}

/** R with RᵀR = columnsᵀ · columns, its inverse, and ‖R⁻¹‖² of the columns taken as unit vectors. */
async function factorGram(gemm: Gemm, columns: Float64Array, length: number, width: number) {
  const gram = new Float64Array(width * width);
  const sides = { left: columns, right: columns, turnLeft: true };
  await gemm.multiply({ m: width, n: width, k: length, ...sides, target: gram });
  const lengths = Float64Array.from({ length: width }, (_, index) => Math.sqrt(gram[index * width + index] ?? 0));
  // A column of zeros stands on its own, with no weight.
  const divisors = lengths.map((value) => value || 1);
  for (let row = 0; row < width; row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      gram[at] = row === column ? 1 : (gram[at] ?? 0) / ((divisors[row] ?? 1) * (divisors[column] ?? 1));
    }
  }
  const upper = cholesky(gram, width, 0, SHIFT) ?? cholesky(gram, width, SHIFT, Number.MIN_VALUE);
  if (upper === undefined) throw new RangeError("expected finite columns");
  const inverse = invertUpper(upper, width);
  const condition = inverse.reduce((sum, value) => sum + value * value, 0);
  for (let row = 0; row < width; row++) {
    for (let column = row; column < width; column++) {
      const at = row * width + column;
      upper[at] = (upper[at] ?? 0) * (lengths[column] ?? 0);
      inverse[at] = (inverse[at] ?? 0) / (divisors[row] ?? 1);
    }
  }
  return { upper, inverse, condition };
}
