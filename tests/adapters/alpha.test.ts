import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CONVENTIONS, type Convention } from "../../src/adapters/adapter.ts";
import { alphaOfScale, convertAlpha, ulpsBetween } from "../../src/adapters/alpha.ts";
import { effectiveScale } from "../../src/adapters/scale.ts";

const ranks = fc.integer({ min: 1, max: 1024 });
const conventions = fc.constantFrom<Convention>(...CONVENTIONS);
/** As people write them. */
const writtenAlphas = fc.oneof(
  fc.integer({ min: 0, max: 4096 }),
  fc.integer({ min: 1, max: 1_000_000 }).map((count) => count / 1000),
);
const anyAlphas = fc.double({ min: 1e-6, max: 1e6, noNaN: true });

const other = (convention: Convention): Convention => (convention === "lora" ? "rslora" : "lora");

const digits = (value: number) => value.toExponential().replace(/e.*|\./g, "").length;

/** Whether some alpha has exactly this scale, by trying many more neighbours than the code does. */
function isReachable(convention: Convention, scale: number, rank: number): boolean {
  const start = convention === "rslora" ? scale * Math.sqrt(rank) : scale * rank;
  const bits = new BigInt64Array(new Float64Array([start]).buffer)[0] ?? 0n;
  return Array.from({ length: 41 }, (_, index) => bits + BigInt(index - 20)).some((candidate) => {
    const alpha = new Float64Array(new BigInt64Array([candidate]).buffer)[0] ?? Number.NaN;
    return effectiveScale(convention, alpha, rank) === scale;
  });
}

describe("convertAlpha", () => {
  test.each<[Convention, number, number, number]>([
    ["lora", 16, 16, 4],
    ["lora", 16, 64, 2],
    ["lora", 16, 8, 5.656854249492381],
    ["rslora", 16, 64, 128],
    ["rslora", 16, 1, 16],
    ["rslora", 0, 8, 0],
  ])("takes alpha of %s = %d at rank %d to %d", (from, alpha, rank, expected) => {
    expect(convertAlpha(from, other(from), alpha, rank)).toBe(expected);
  });

  test("keeps the scale to 1 ulp", () => {
    fc.assert(
      fc.property(conventions, fc.oneof(writtenAlphas, anyAlphas), ranks, (from, alpha, rank) => {
        const to = other(from);
        const converted = convertAlpha(from, to, alpha, rank);
        expect(ulpsBetween(effectiveScale(to, converted, rank), effectiveScale(from, alpha, rank))).toBeLessThanOrEqual(
          1,
        );
      }),
      { numRuns: 2000 },
    );
  });

  test("keeps the scale bit for bit where some alpha gives it, but for the way back of a conversion", () => {
    fc.assert(
      fc.property(conventions, fc.oneof(writtenAlphas, anyAlphas), ranks, (from, alpha, rank) => {
        const to = other(from);
        const scale = effectiveScale(from, alpha, rank);
        const converted = convertAlpha(from, to, alpha, rank);
        const isWayBack =
          digits(alpha) > 9 && digits(converted) <= 9 && convertAlpha(to, from, converted, rank) === alpha;
        if (!isWayBack) expect(effectiveScale(to, converted, rank) === scale).toBe(isReachable(to, scale, rank));
      }),
      { numRuns: 5000 },
    );
  });

  test("goes back to the alpha that it came from, for every alpha that a person would write", () => {
    fc.assert(
      fc.property(conventions, writtenAlphas, ranks, (from, alpha, rank) => {
        const there = convertAlpha(from, other(from), alpha, rank);
        const back = convertAlpha(other(from), from, there, rank);
        expect(back).toBe(alpha);
        expect(convertAlpha(from, other(from), back, rank)).toBe(there);
      }),
      { numRuns: 5000 },
    );
  });

  test("leaves an alpha of the same convention alone", () => {
    expect(convertAlpha("lora", "lora", 0.1 + 0.2, 8)).toBe(0.1 + 0.2);
  });
});

test("alphaOfScale takes the number with the fewest digits among those with the same scale", () => {
  expect(alphaOfScale("lora", 0.3 / 3, 3)).toBe(0.3);
  expect(alphaOfScale("rslora", 1, 64)).toBe(8);
});
