import { describe, expect, test } from "vitest";
import { fillNormal, fillUniform, philox, philoxKey } from "../../src/core/random.ts";

describe("philox", () => {
  // kat_vectors of Random123 1.14, philox4x32 with 10 rounds.
  test.each([
    [
      [0, 0],
      [0, 0, 0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0xa4093822, 0x299f31d0],
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)("gives the published answer for key %j", (key, counter, expected) => {
    expect(philox(key, counter)).toEqual(expected);
  });
});

describe.each([
  ["fillUniform", fillUniform],
  ["fillNormal", fillNormal],
])("%s", (_, fill) => {
  const key = philoxKey(42, "test");

  test("gives the same numbers wherever a run starts", () => {
    const whole = new Float32Array(103);
    fill(whole, key, 7);
    for (const start of [1, 2, 3, 4, 50, 101]) {
      const rest = new Float32Array(103 - start);
      fill(rest, key, 7, start);
      expect(rest).toEqual(whole.subarray(start));
    }
  });

  test("gives other numbers for another seed, purpose or stream", () => {
    const numbers = (seed: number, purpose: string, stream: number) => {
      const out = new Float32Array(8);
      fill(out, philoxKey(seed, purpose), stream);
      return out;
    };
    const first = numbers(42, "a", 0);
    for (const other of [
      numbers(43, "a", 0),
      numbers(42 + 2 ** 32, "a", 0),
      numbers(42, "b", 0),
      numbers(42, "a", 1),
    ]) {
      expect(other).not.toEqual(first);
    }
  });
});

/** Mean and variance of a sample. */
function moments(values: Float32Array): [mean: number, variance: number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [mean, values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length];
}

test("a large sample has the moments of its distribution", () => {
  const values = new Float32Array(200_000);
  fillUniform(values, philoxKey(1, "moments"), 0);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  let [mean, variance] = moments(values);
  // Five standard errors.
  expect(Math.abs(mean - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / values.length));
  expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.001);
  fillNormal(values, philoxKey(1, "moments"), 0);
  [mean, variance] = moments(values);
  expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(values.length));
  expect(Math.abs(variance - 1)).toBeLessThan(0.02);
});
