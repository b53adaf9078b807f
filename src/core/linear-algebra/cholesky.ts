/**
 * Cholesky factors of small symmetric matrices and inverses of triangles, in f64 (Golub and Van Loan, Matrix
 * Computations, 4th ed., algorithms 4.2.1 and 3.1.3).
 */

/**
 * The upper R [size, size] with RᵀR = matrix + shift · I.
 *
 * @param matrix symmetric, of ones on its diagonal
 * @returns `undefined` where a pivot is below `least`: the matrix is not positive definite, as far as rounding lets see
 */
export function cholesky(matrix: Float64Array, size: number, shift: number, least: number): Float64Array | undefined {
  const upper = matrix.slice();
  for (let row = 0; row < size; row++) {
    const own = upper.subarray(row * size, (row + 1) * size);
    own.fill(0, 0, row);
    const pivot = (own[row] ?? 0) + shift;
    if (!(pivot >= least)) return undefined;
    const root = Math.sqrt(pivot);
    own[row] = root;
    for (let column = row + 1; column < size; column++) own[column] = (own[column] ?? 0) / root;
    for (let below = row + 1; below < size; below++) {
      const factor = own[below] ?? 0;
      if (factor === 0) continue;
      const target = upper.subarray(below * size, (below + 1) * size);
      for (let column = below; column < size; column++) {
        target[column] = (target[column] ?? 0) - factor * (own[column] ?? 0);
      }
    }
  }
  return upper;
}

/** The inverse of an upper triangle [size, size] without zeros on its diagonal. */
export function invertUpper(upper: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let row = size - 1; row >= 0; row--) {
    const own = inverse.subarray(row * size, (row + 1) * size);
    const pivot = upper[row * size + row] ?? 0;
    own[row] = 1;
    for (let below = row + 1; below < size; below++) {
      const factor = upper[row * size + below] ?? 0;
      if (factor === 0) continue;
      const source = inverse.subarray(below * size, (below + 1) * size);
      for (let column = below; column < size; column++) {
        own[column] = (own[column] ?? 0) - factor * (source[column] ?? 0);
      }
    }
    for (let column = row; column < size; column++) own[column] = (own[column] ?? 0) / pivot;
  }
  return inverse;
}
