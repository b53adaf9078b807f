import { expect, test } from "vitest";
import { cayley } from "../../../src/core/linear-algebra/cayley.ts";

test("gives a rotation R with R (I − Q) = I + Q, whatever the size of Q", () => {
  for (const size of [1e-6, 0.3, 40]) {
    const n = 5;
    const values = Array.from({ length: n * n }, (_, at) => size * Math.sin(3 * at + 1));
    const skew = Float64Array.from(values, (value, at) => value - (values[(at % n) * n + Math.floor(at / n)] ?? 0));
    const rotation = cayley(skew, n);
    const at = (matrix: Float64Array, row: number, column: number) => matrix[row * n + column] ?? 0;
    const sum = (term: (k: number) => number) =>
      Array.from({ length: n }, (_, k) => term(k)).reduce((a, b) => a + b, 0);
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const one = row === column ? 1 : 0;
        const product = sum((k) => at(rotation, row, k) * ((k === column ? 1 : 0) - at(skew, k, column)));
        expect(product).toBeCloseTo(one + at(skew, row, column), 9);
        expect(sum((k) => at(rotation, k, row) * at(rotation, k, column))).toBeCloseTo(one, 9);
      }
    }
  }
});
