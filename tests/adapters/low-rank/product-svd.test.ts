/** Decompositions of products against those of the product itself, also where factors are as badly conditioned as can be. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseRank } from "../../../src/adapters/low-rank/choose-rank.ts";
import { orthonormalise } from "../../../src/adapters/low-rank/orthonormal.ts";
import { productSvd } from "../../../src/adapters/low-rank/product-svd.ts";
import { multiply, multiplyTransposed, transpose } from "../../../src/core/linear-algebra/products.ts";
import { squareSvd } from "../../../src/core/linear-algebra/square-svd.ts";
import { fillNormal, philoxKey } from "../../../src/core/random.ts";
import { type Engine, openEngine } from "../../../src/engine/engine.ts";
import { type Gemm, openGemm } from "../../../src/engine/gemm.ts";
import { distance, norm } from "../../support/deltas.ts";

let engine: Engine;
let gemm: Gemm;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
  gemm = openGemm(engine);
});
afterAll(() => engine.close());

function normal(length: number, stream: number): Float64Array {
  const values = new Float32Array(length);
  fillNormal(values, philoxKey(1, "product-svd"), stream);
  return Float64Array.from(values);
}

const [rows, inner, columns] = [60, 12, 41];
const scaleColumns = (values: Float64Array, factor: (column: number) => number) =>
  values.map((value, index) => value * factor(index % inner));

/** Left factors [rows, inner] by what is hard about them. */
const LEFT: Readonly<Record<string, Float64Array>> = {
  plain: normal(rows * inner, 1),
  "columns from 1 to 1e-11": scaleColumns(normal(rows * inner, 2), (column) => 10 ** -column),
  "columns of zeros": scaleColumns(normal(rows * inner, 3), (column) => (column % 3 === 1 ? 0 : 1)),
  "columns that repeat": normal(rows * inner, 4).map((value, index, all) =>
    index % inner < 6 ? value : (all[index - 6] ?? 0),
  ),
  "almost one direction": normal(rows * inner, 5).map(
    (value, index, all) => (all[Math.floor(index / inner) * inner] ?? 0) + 1e-9 * value,
  ),
  zero: new Float64Array(rows * inner),
};

describe.each(Object.keys(LEFT))("%s", (name) => {
  const left = LEFT[name] ?? new Float64Array();
  const right = normal(columns * inner, 9);
  const product = multiplyTransposed(left, rows, inner, right, columns);

  test("a basis times its triangle is the matrix, and what counts of it is orthonormal", async () => {
    const { size, triangle, combine } = await orthonormalise(gemm, left, rows, inner);
    const again = await combine(triangle, inner);
    expect(distance(again, left)).toBeLessThanOrEqual(1e-14 * norm(left));
    const { left: directions, values } = await squareSvd(triangle, size);
    const count = values.filter((value) => value > 1e-12 * (values[0] ?? 0)).length;
    const basis = await combine(transpose(directions.subarray(0, count * size), count, size), count);
    for (let a = 0; a < count; a++) {
      for (let b = 0; b <= a; b++) {
        let sum = 0;
        for (let row = 0; row < rows; row++) sum += (basis[row * count + a] ?? 0) * (basis[row * count + b] ?? 0);
        expect(Math.abs(sum - (a === b ? 1 : 0))).toBeLessThan(1e-7);
      }
    }
  });

  test.each([1, 3, 12, 20])("rank %i is the best approximation of the product", async (rank) => {
    const { values, cut } = await productSvd(gemm, left, right, { rows, inner, columns });
    const approximation = await cut(rank);
    const found = multiply(approximation.left, rows, rank, approximation.right, columns);
    // The product itself, padded to a square.
    const square = new Float64Array(rows * rows);
    for (let row = 0; row < rows; row++) square.set(product.subarray(row * columns, (row + 1) * columns), row * rows);
    const wanted = (await squareSvd(square, rows)).values;
    for (const [index, value] of values.entries()) {
      expect(Math.abs(value - (wanted[index] ?? 0))).toBeLessThanOrEqual(1e-12 * (wanted[0] ?? 0));
    }
    const best = norm(wanted.subarray(rank));
    expect(Math.abs(distance(found, product) - best)).toBeLessThanOrEqual(1e-9 * best + 1e-13 * norm(product));
  });
});

test("an energy takes the smallest rank that keeps it, noise not counted", () => {
  const values = Float64Array.of(3, 2, 1, 1e-15);
  expect(chooseRank(values, { energy: 0.64 })).toBe(1);
  expect(chooseRank(values, { energy: 0.65 })).toBe(2);
  expect(chooseRank(values, { energy: 1 })).toBe(3);
  expect(chooseRank(values, { energy: 1, rank: 2 })).toBe(2);
  expect(chooseRank(values, { rank: 9 })).toBe(4);
  expect(chooseRank(new Float64Array(3), { energy: 0.5 })).toBe(1);
});
