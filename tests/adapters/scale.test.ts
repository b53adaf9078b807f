import { describe, expect, test } from "vitest";
import { adaLoraScale, effectiveScale } from "../../src/adapters/scale.ts";

describe("effectiveScale", () => {
  // Right-hand sides are what Python prints for alpha / r and alpha / math.sqrt(r).
  test.each([
    ["lora", 16, 8, 2],
    ["lora", 16, 64, 0.25],
    ["lora", 3, 7, 0.42857142857142855],
    ["lora", 2.5, 4, 0.625],
    ["rslora", 16, 64, 2],
    ["rslora", 16, 8, 5.65685424949238],
    ["rslora", 3, 7, 1.1338934190276817],
    ["rslora", 6, 3, 3.464101615137755],
    ["lora", 0, 8, 0],
  ] as const)("of %s with alpha %d and rank %d is %d", (convention, alpha, rank, scale) => {
    expect(effectiveScale(convention, alpha, rank)).toBe(scale);
  });
});

describe("adaLoraScale", () => {
  test("divides by the rank before allocation and a little", () => {
    expect(adaLoraScale(6, 3, 4)).toBe(6 / 4.00001);
  });

  test("takes the rank that is left for an alpha of 0", () => {
    expect(adaLoraScale(0, 3, 4)).toBe(3 / 4.00001);
  });
});
