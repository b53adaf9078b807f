import { describe, expect, it } from "vitest";
import { oloraFactors, pissaFactors } from "../../../src/core/linear-algebra/initialisation.ts";
import { fillNormal, philoxKey } from "../../../src/core/random.ts";

function random(rows: number, columns: number, stream: number): Float64Array {
  const values = new Float32Array(rows * columns);
  fillNormal(values, philoxKey(7, "test"), stream);
  return Float64Array.from(values);
}

function product(left: Float64Array, right: Float64Array, m: number, k: number, n: number): Float64Array {
  return Float64Array.from({ length: m * n }, (_, at) => {
    let sum = 0;
    for (let inner = 0; inner < k; inner++) {
      sum += (left[Math.floor(at / n) * k + inner] ?? 0) * (right[inner * n + (at % n)] ?? 0);
    }
    return sum;
  });
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? Number.NaN))), 0);
}

/** Columns that are orthonormal: Gram-Schmidt, twice. */
function orthonormal(rows: number, count: number, stream: number): Float64Array {
  const columns: Float64Array[] = [];
  const source = random(count, rows, stream);
  for (let index = 0; index < count; index++) {
    const column = source.slice(index * rows, (index + 1) * rows);
    for (const other of [...columns, ...columns]) {
      const overlap = other.reduce((sum, value, at) => sum + value * (column[at] ?? 0), 0);
      for (const [at, value] of other.entries()) column[at] = (column[at] ?? 0) - overlap * value;
    }
    const norm = Math.hypot(...column);
    columns.push(column.map((value) => value / norm));
  }
  return Float64Array.from({ length: rows * count }, (_, at) => columns[at % count]?.[Math.floor(at / count)] ?? 0);
}

/** U · diag(values) · Vᵀ with known vectors, and the same of the first `rank` values only. */
function known(m: number, n: number, values: readonly number[], rank: number) {
  const count = values.length;
  const u = orthonormal(m, count, 1);
  const v = orthonormal(n, count, 2);
  const build = (kept: number) => {
    const scaled = u.map((value, at) => (at % count < kept ? value * (values[at % count] ?? 0) : 0));
    const turned = Float64Array.from({ length: count * n }, (_, at) => v[(at % n) * count + Math.floor(at / n)] ?? 0);
    return product(scaled, turned, m, count, n);
  };
  return { weights: build(count), leading: build(rank) };
}

const falling = (count: number, ratio: number) => Array.from({ length: count }, (_, at) => ratio ** at);

describe("pissaFactors", () => {
  it.each([
    ["square", 24, 24, falling(24, 0.8), 4],
    ["wide", 10, 30, falling(10, 0.7), 3],
    ["tall", 30, 10, falling(10, 0.7), 3],
    ["large enough to stop early", 200, 260, falling(200, 0.95), 6],
    ["flat at its end", 150, 150, [5, 4, 3, ...new Array<number>(147).fill(1)], 3],
    ["with equal leading values", 120, 120, [2, 2, 2, 2, ...falling(116, 0.9)], 4],
    ["of full rank", 12, 12, falling(12, 0.5), 12],
    ["of few values that are not zero", 40, 40, [3, 2, 1], 3],
    ["of one row", 1, 9, [2], 1],
  ])("is the best approximation of a matrix that is %s", (_, m, n, values, rank) => {
    const { weights, leading } = known(m, n, values, rank);
    const { left, right } = pissaFactors(weights, m, n, rank);
    expect([left.length, right.length]).toEqual([m * rank, rank * n]);
    expect(largestDifference(product(left, right, m, rank, n), leading)).toBeLessThan(1e-9);
  });

  it("is the whole matrix for a rank above its size, and zero for zeros", () => {
    const weights = random(3, 5, 9);
    const { left, right } = pissaFactors(weights, 3, 5, 4);
    expect([left.length, right.length]).toEqual([12, 20]);
    expect(largestDifference(product(left, right, 3, 4, 5), weights)).toBeLessThan(1e-12);
    const none = pissaFactors(new Float64Array(20), 4, 5, 2);
    expect(largestDifference(product(none.left, none.right, 4, 2, 5), new Float64Array(20))).toBe(0);
  });

  it("gives the same bits every time and leaves the weights alone", () => {
    const weights = random(100, 90, 3);
    const before = weights.slice();
    expect(pissaFactors(weights, 100, 90, 5)).toEqual(pissaFactors(weights, 100, 90, 5));
    expect(weights).toEqual(before);
  });
});

describe("oloraFactors", () => {
  it.each([
    [20, 20, 5],
    [8, 20, 3],
    [20, 8, 3],
    [6, 6, 6],
  ])("projects %i x %i weights onto their first %i columns", (m, n, rank) => {
    const weights = random(m, n, 4);
    const { left, right } = oloraFactors(weights, m, n, rank);
    // Q has orthonormal columns …
    const turned = Float64Array.from(
      { length: left.length },
      (_, at) => left[(at % m) * rank + Math.floor(at / m)] ?? 0,
    );
    const identity = Float64Array.from({ length: rank * rank }, (_, at) => (at % (rank + 1) === 0 ? 1 : 0));
    expect(largestDifference(product(turned, left, rank, m, rank), identity)).toBeLessThan(1e-13);
    // … R is triangular and QᵀW, and the first columns come back whole.
    expect(largestDifference(product(turned, weights, rank, m, n), right)).toBeLessThan(1e-12);
    for (let row = 1; row < rank; row++)
      expect(right.slice(row * n, row * n + row).every((value) => value === 0)).toBe(true);
    const back = product(left, right, m, rank, n);
    for (let at = 0; at < back.length; at++) if (at % n < rank) expect(back[at]).toBeCloseTo(weights[at] ?? 0, 12);
  });

  it("pads a rank above the size of the matrix and takes zeros", () => {
    const weights = random(2, 3, 5);
    const { left, right } = oloraFactors(weights, 2, 3, 4);
    expect(largestDifference(product(left, right, 2, 4, 3), weights)).toBeLessThan(1e-13);
    const none = oloraFactors(new Float64Array(12), 4, 3, 2);
    expect(largestDifference(product(none.left, none.right, 4, 2, 3), new Float64Array(12))).toBe(0);
  });
});
