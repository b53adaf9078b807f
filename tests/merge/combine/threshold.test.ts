/** Thresholds against sorting. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { Threshold } from "../../../src/merge/combine/threshold.ts";

/** The threshold of numbers that come in tiles of this length. */
function thresholdOf(values: Float32Array, density: number, tile: number): number {
  const threshold = new Threshold();
  const tiles = Array.from({ length: Math.ceil(values.length / tile) }, (_, index) =>
    values.subarray(index * tile, (index + 1) * tile),
  );
  for (const one of tiles) threshold.count(one);
  threshold.choose(Math.floor(density * values.length));
  for (const one of tiles) threshold.refine(one);
  return threshold.value;
}

test("is the k-th largest absolute value, whatever the numbers and the tiles", () => {
  const number = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1, -1, 2 ** -149));
  fc.assert(
    fc.property(
      fc.array(number, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 70 }),
      (numbers, percent, tile) => {
        const values = Float32Array.from(numbers);
        const count = Math.floor((percent / 100) * values.length);
        const sorted = values.map(Math.abs).sort().reverse();
        const wanted = count === 0 ? Number.POSITIVE_INFINITY : sorted[count - 1];
        expect(thresholdOf(values, percent / 100, tile)).toBe(wanted);
      },
    ),
  );
});

test("keeps as many of different numbers as PEFT's topk", () => {
  const values = Float32Array.from({ length: 1000 }, (_, index) => Math.sin(index + 1));
  for (const density of [0.001, 0.2, 0.333, 0.9995]) {
    const limit = thresholdOf(values, density, 64);
    expect(values.filter((value) => Math.abs(value) >= limit).length).toBe(Math.floor(density * 1000));
  }
});
