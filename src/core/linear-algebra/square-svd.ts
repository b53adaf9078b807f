/**
 * The singular value decomposition of a square matrix in f64.
 *
 * The eigenvectors of CᵀC come first: they make the rows of C·V orthogonal up to rounding of the largest value. One-sided
 * Jacobi rotations (Hestenes 1958; Demmel and Veselić 1992) then make small values right relative to themselves; few pairs
 * need any. From scratch they would take ten sweeps, a whole Golub-Kahan decomposition in JavaScript three times as long.
 */

import { dot, identity, multiplyTransposed, transpose } from "./products.ts";
import { rotate, symmetricEigen } from "./symmetric-eigen.ts";

export interface SquareSvd {
  /** Not negative, descending. */
  readonly values: Float64Array;
  /** [size, size]: row i is the left singular vector of values[i]; zeros where that is 0. */
  readonly left: Float64Array;
  /** [size, size]: row i is the right singular vector of values[i]. */
  readonly right: Float64Array;
}

/** Cosine of the angle below which two vectors count as orthogonal: far below what f32 results can show. */
const ORTHOGONAL = 1e-9;

/** A vector shorter than this, relative to the longest, is rounding, which is left as it is. */
const NOISE = 1e-14;

/** Each sweep squares the cosines: more than a few mean that there are NaNs. */
const MAX_SWEEPS = 30;

/** a · bᵀ of square matrices. */
export type TurnedProduct = (a: Float64Array, b: Float64Array, size: number) => Promise<Float64Array>;

/**
 * matrix = Σ values[i] · left[i]ᵀ · right[i]
 *
 * @param matrix finite, [size, size]
 * @param product where products are made
 */
export async function squareSvd(
  matrix: Float64Array,
  size: number,
  product: TurnedProduct = async (a, b) => multiplyTransposed(a, size, size, b, size),
): Promise<SquareSvd> {
  const largest = matrix.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return { values: new Float64Array(size), left: matrix.slice(), right: identity(size) };
  // Squares neither overflow nor vanish.
  const scaled = matrix.map((value) => value / largest);
  const turned = transpose(scaled, size, size);
  // The eigenvectors of CᵀC.
  const right = symmetricEigen(await product(turned, turned, size), size).vectors;
  const images = await product(right, scaled, size);
  for (let sweep = 0; sweep < MAX_SWEEPS && rotateAll(images, right, size); sweep++);
  return sorted(images, right, size, largest);
}

/** One rotation for each pair of rows that are not orthogonal; whether there was any. */
function rotateAll(images: Float64Array, right: Float64Array, size: number): boolean {
  const rowOf = (values: Float64Array, row: number) => values.subarray(row * size, (row + 1) * size);
  const squares = Float64Array.from({ length: size }, (_, row) => dot(rowOf(images, row), rowOf(images, row)));
  const least = NOISE ** 2 * squares.reduce((most, value) => Math.max(most, value), 0);
  let rotated = false;
  for (let first = 0; first < size; first++) {
    const one = rowOf(images, first);
    for (let second = first + 1; second < size; second++) {
      const [a, b] = [squares[first] ?? 0, squares[second] ?? 0];
      if (a <= least || b <= least) continue;
      const other = rowOf(images, second);
      const product = dot(one, other);
      if (Math.abs(product) <= ORTHOGONAL * Math.sqrt(a * b)) continue;
      const zeta = (b - a) / (2 * product);
      const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      const cosine = 1 / Math.sqrt(1 + tangent * tangent);
      rotate(one, other, cosine, cosine * tangent);
      rotate(rowOf(right, first), rowOf(right, second), cosine, cosine * tangent);
      squares[first] = Math.max(0, a - tangent * product);
      squares[second] = b + tangent * product;
      rotated = true;
    }
  }
  return rotated;
}

function sorted(images: Float64Array, right: Float64Array, size: number, scale: number): SquareSvd {
  const rowOf = (values: Float64Array, row: number) => values.subarray(row * size, (row + 1) * size);
  const lengths = Float64Array.from({ length: size }, (_, row) =>
    Math.sqrt(dot(rowOf(images, row), rowOf(images, row))),
  );
  const order = Array.from(lengths.keys()).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
  const out = {
    values: new Float64Array(size),
    left: new Float64Array(size * size),
    right: new Float64Array(size * size),
  };
  for (const [index, row] of order.entries()) {
    const length = lengths[row] ?? 0;
    out.values[index] = length * scale;
    out.right.set(rowOf(right, row), index * size);
    if (length > 0)
      out.left.set(
        rowOf(images, row).map((value) => value / length),
        index * size,
      );
  }
  return out;
}
