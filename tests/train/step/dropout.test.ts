/** Masks of dropout: shares, factors, and what they depend on. */

import { describe, expect, it } from "vitest";
import { dropoutMasks } from "../../../src/train/step/dropout.ts";

const MASKS = ["a", "b"].map((module) => ({ module, input: `${module}/dropout`, shape: [64, 1001] }));
const AT = { seed: 42, step: 3, microBatch: 0 };

const mask = (name: string, p: number, at = AT) => {
  const data = dropoutMasks(MASKS, p, at).get(`${name}/dropout`)?.data as Float32Array;
  expect(data).toHaveLength(64 * 1001);
  return data;
};

describe("dropoutMasks", () => {
  it.each([0.05, 0.5, 0.9])("drops a share of %f and makes up for it in the rest", (p) => {
    const data = mask("a", p);
    const dropped = data.filter((value) => value === 0).length / data.length;
    expect(dropped).toBeCloseTo(p, 2);
    expect(new Set(data)).toEqual(new Set([0, Math.fround(1 / (1 - p))]));
  });

  it("gives each module, step, micro-batch and seed a mask of its own, and the same one again", () => {
    const shared = (other: Float32Array) => mask("a", 0.5).filter((value, index) => value === other[index]).length;
    const all = 64 * 1001;
    expect(shared(mask("a", 0.5))).toBe(all);
    for (const other of [
      mask("b", 0.5),
      mask("a", 0.5, { ...AT, step: 4 }),
      mask("a", 0.5, { ...AT, microBatch: 1 }),
      mask("a", 0.5, { ...AT, seed: 43 }),
    ]) {
      expect(shared(other) / all).toBeCloseTo(0.5, 1);
    }
  });
});
