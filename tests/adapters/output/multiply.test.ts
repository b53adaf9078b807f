import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { multiplier } from "../../../src/adapters/output/multiply.ts";
import { decodeElement, encodeElement, roundTo } from "../../../src/core/cast/float-codec.ts";
import { createKernels } from "../../../src/core/cast/kernels.ts";
import { FLOAT_DTYPES, type FloatDtype, floatBytes } from "../../../src/core/dtype.ts";

const KERNELS = createKernels();

function encode(dtype: FloatDtype, values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * floatBytes(dtype));
  for (const [index, value] of values.entries()) encodeElement(dtype, value, bytes, index * floatBytes(dtype));
  return bytes;
}

function decode(dtype: FloatDtype, bytes: Uint8Array): number[] {
  const width = floatBytes(dtype);
  return Array.from({ length: bytes.length / width }, (_, index) => decodeElement(dtype, bytes, index * width));
}

describe.each(FLOAT_DTYPES)("%s", (dtype) => {
  const numbers = fc.array(
    fc.double({ min: -8, max: 8, noNaN: true }).map((value) => roundTo(dtype, value)),
    { minLength: 1, maxLength: 40 },
  );

  test("every element is the product in double precision, rounded once, and the counts say what that did", () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 1e-3, max: 8, noNaN: true }), (values, factor) => {
        const bytes = encode(dtype, values);
        const rounding = multiplier(dtype, factor, KERNELS)(bytes);
        const found = decode(dtype, bytes);
        expect(found).toEqual(values.map((value) => roundTo(dtype, factor * value)));
        expect(rounding.elements).toBe(values.length);
        expect(rounding.nonFinite).toBe(0);
        if (dtype === "f64") return;
        const errors = values.map((value, index) => [(found[index] ?? 0) - factor * value, factor * value] as const);
        const inexact = errors.filter(([error]) => error !== 0);
        expect(rounding.rounded).toBe(inexact.length);
        const largest = Math.max(0, ...inexact.map(([error, product]) => Math.abs(error / product)));
        // Below it a product of 16 bits is compared with an f32 that has fewer bits than usual.
        if (errors.some(([, product]) => Math.abs(product) < 2 ** -126)) return;
        expect(Math.abs(rounding.largestError - largest)).toBeLessThanOrEqual(2 ** -22);
      }),
    );
  });

  test("powers of two round nothing", () => {
    const rounding = multiplier(dtype, 4, KERNELS)(encode(dtype, [1, -0.75, 0, 1.5]));
    expect(rounding).toEqual({ elements: 4, rounded: 0, largestError: 0, nonFinite: 0 });
  });

  test("infinities and NaN are counted", () => {
    expect(multiplier(dtype, 2, KERNELS)(encode(dtype, [1, Number.NaN, Number.POSITIVE_INFINITY])).nonFinite).toBe(2);
  });
});

test.each(["bf16", "f16"] as const)(
  "in %s a tie of the product goes to even, and what is just beside it does not",
  (dtype) => {
    const ulp = dtype === "bf16" ? 2 ** -7 : 2 ** -10;
    // (1 + ulp) · 1.5 lies between two codes, half a step from each.
    const values = [1 + ulp, 1 + 3 * ulp];
    for (const factor of [1.5, 1.5 * (1 + 2 ** -40), 1.5 * (1 - 2 ** -40)]) {
      const bytes = encode(dtype, values);
      multiplier(dtype, factor, KERNELS)(bytes);
      expect(decode(dtype, bytes)).toEqual(values.map((value) => roundTo(dtype, value * factor)));
    }
  },
);

test("in f64 the exact product decides whether an element was rounded", () => {
  const exact = multiplier("f64", 3, KERNELS)(encode("f64", [1, 0.5, 2 ** -30]));
  expect(exact.rounded).toBe(0);
  const inexact = multiplier("f64", 0.1, KERNELS)(encode("f64", [0.1]));
  expect(inexact.rounded).toBe(1);
  expect(inexact.largestError).toBeGreaterThan(0);
  expect(inexact.largestError).toBeLessThan(2 ** -52);
});
