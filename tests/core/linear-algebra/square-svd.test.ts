/** Eigenvalues, singular values and Cholesky factors against what they are defined by, in double precision. */

import { describe, expect, test } from "vitest";
import { cholesky, invertUpper } from "../../../src/core/linear-algebra/cholesky.ts";
import { dot, multiply, multiplyTransposed, transpose } from "../../../src/core/linear-algebra/products.ts";
import { squareSvd } from "../../../src/core/linear-algebra/square-svd.ts";
import { symmetricEigen } from "../../../src/core/linear-algebra/symmetric-eigen.ts";
import { fillNormal, philoxKey } from "../../../src/core/random.ts";

function normal(length: number, stream: number): Float64Array {
  const values = new Float32Array(length);
  fillNormal(values, philoxKey(1, "square-svd"), stream);
  return Float64Array.from(values);
}

const largest = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

const identity = (size: number) =>
  Float64Array.from({ length: size * size }, (_, index) => (index % (size + 1) === 0 ? 1 : 0));

/** Largest element of a − b. */
const distance = (a: Float64Array, b: Float64Array) =>
  largest(a.map((value, index) => value - (b[index] ?? Number.NaN)));

/** Largest element of rows · rowsᵀ − I. */
const skew = (rows: Float64Array, size: number) =>
  distance(multiplyTransposed(rows, size, size, rows, size), identity(size));

describe.each([1, 2, 3, 17, 64])("size %i", (size) => {
  const matrix = normal(size * size, size);
  const symmetric = matrix.map(
    (value, index) => value + (matrix[(index % size) * size + Math.floor(index / size)] ?? 0),
  );

  test("eigenvectors are orthonormal and only stretched", () => {
    const { values, vectors } = symmetricEigen(symmetric, size);
    expect(skew(vectors, size)).toBeLessThan(1e-13 * size);
    const images = multiply(vectors, size, size, symmetric, size);
    const stretched = vectors.map((value, index) => value * (values[Math.floor(index / size)] ?? 0));
    expect(distance(images, stretched)).toBeLessThan(1e-13 * size);
  });

  test("singular vectors are orthonormal, values descend, and together they are the matrix", async () => {
    const { values, left, right } = await squareSvd(matrix, size);
    expect([...values]).toEqual([...values].sort((a, b) => b - a));
    expect(skew(right, size)).toBeLessThan(1e-13 * size);
    expect(skew(left, size)).toBeLessThan(1e-9);
    const scaled = left.map((value, index) => value * (values[Math.floor(index / size)] ?? 0));
    const again = multiply(transpose(scaled, size, size), size, size, right, size);
    expect(distance(again, matrix)).toBeLessThan(1e-13 * size);
  });

  test("a Cholesky factor gives the matrix back, and its inverse the identity", () => {
    const gram = multiplyTransposed(matrix, size, size, matrix, size);
    const upper = cholesky(gram, size, 0.5, 0) ?? new Float64Array();
    const again = multiply(transpose(upper, size, size), size, size, upper, size);
    const shifted = gram.map((value, index) => (index % (size + 1) === 0 ? value + 0.5 : value));
    expect(distance(again, shifted)).toBeLessThan(1e-12 * size);
    const product = multiply(upper, size, size, invertUpper(upper, size), size);
    expect(distance(product, identity(size))).toBeLessThan(1e-12 * size);
  });
});

test("small singular values are right relative to themselves", async () => {
  const size = 24;
  const noise = normal(size * size, 5);
  const symmetric = noise.map((value, index) => value + (noise[(index % size) * size + Math.floor(index / size)] ?? 0));
  const { vectors } = symmetricEigen(symmetric, size);
  // Orthonormal columns scaled from 1 to 1e-11.5.
  const wanted = Float64Array.from({ length: size }, (_, index) => 10 ** (-index / 2));
  const scaled = transpose(vectors, size, size).map((value, index) => value * (wanted[index % size] ?? 0));
  const { values } = await squareSvd(scaled, size);
  for (const [index, value] of values.entries()) expect(Math.abs(value / (wanted[index] ?? 0) - 1)).toBeLessThan(1e-10);
});

test("zeros, equal values and a repeated row", async () => {
  expect([...(await squareSvd(new Float64Array(9), 3)).values]).toEqual([0, 0, 0]);
  expect([
    ...(
      await squareSvd(
        identity(4).map((value) => 3 * value),
        4,
      )
    ).values,
  ]).toEqual([3, 3, 3, 3]);
  const { values, left } = await squareSvd(Float64Array.of(1, 2, 2, 1, 2, 2, 0, 0, 0), 3);
  expect(values[0]).toBeCloseTo(Math.sqrt(18), 12);
  expect(largest(values.subarray(1))).toBeLessThan(1e-14);
  expect(dot(left.subarray(0, 3), left.subarray(0, 3))).toBeCloseTo(1, 12);
});

test("a matrix that is not positive definite has no Cholesky factor", () => {
  expect(cholesky(Float64Array.of(1, 2, 2, 1), 2, 0, 0)).toBeUndefined();
  expect(cholesky(Float64Array.of(1, Number.NaN, Number.NaN, 1), 2, 0, 0)).toBeUndefined();
});
