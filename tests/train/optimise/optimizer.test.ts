/** Steps of the optimisers against torch (fixtures/generate/train_optimizer.py). */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { norm } from "../../../src/core/norm.ts";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { clipFactor, totalNorm } from "../../../src/train/optimise/clip.ts";
import { type OptimizerName, stepParameter } from "../../../src/train/optimise/optimizer.ts";
import { numbersOf } from "../../support/read-tensor.ts";

const store = openSafetensors(join(import.meta.dirname, "../../../fixtures/train/optimizers.safetensors"));
const SIZE = 64;

function tensor(name: string): Float32Array {
  const data = store.tensors.get(name);
  if (data === undefined) throw new Error(`no tensor ${name}`);
  return Float32Array.from(numbersOf(data));
}

/** Distance in units of the last place of the largest value that the element has had: roundings of those stay. */
function ulps(a: number, b: number, largest: number): number {
  return Math.abs(a - b) / 2 ** (Math.floor(Math.log2(largest)) - 23);
}

describe.each([...store.metadata])("%s", (name, settings) => {
  it("takes torch's steps to within two units of the last place", () => {
    const { lr, betas, eps, weight_decay: weightDecay } = JSON.parse(settings);
    const expected = tensor(`${name}.values`);
    const gradients = tensor("gradients");
    const values = expected.slice(0, SIZE);
    const parameter = {
      name: "p",
      values,
      firstMoment: new Float32Array(SIZE),
      secondMoment: new Float32Array(SIZE),
      rateFactor: 1,
      weightDecay,
    };
    const largest = values.map(Math.abs);
    const optimizer = name.split("-")[0] as OptimizerName;
    for (let step = 1; step <= 20; step++) {
      const gradient = gradients.subarray((step - 1) * SIZE, step * SIZE);
      stepParameter(parameter, gradient, 1, lr, step, { optimizer, betas: betas ?? [0, 0], eps: eps ?? 0 });
      const wanted = expected.subarray(step * SIZE, (step + 1) * SIZE);
      wanted.forEach((value, index) => {
        largest[index] = Math.max(largest[index] ?? 0, Math.abs(value));
      });
      const worst = Math.max(
        ...wanted.map((value, index) => ulps(value, values[index] ?? Number.NaN, largest[index] ?? 0)),
      );
      expect(worst, `step ${step}`).toBeLessThanOrEqual(2);
    }
  });
});

describe("clipping", () => {
  it("takes the norm of all tensors as one vector", () => {
    expect(totalNorm([norm(Float32Array.of(3)), norm(Float32Array.of(4, 12))])).toBeCloseTo(13, 12);
  });

  it("leaves gradients below the limit alone, and all of them where the limit is 0", () => {
    expect(clipFactor(0.5, 1)).toBe(1);
    expect(clipFactor(1e9, 0)).toBe(1);
  });

  it("brings the norm to the limit, but for torch's 1e-6", () => {
    expect(clipFactor(4, 1)).toBe(Math.fround(1 / (4 + 1e-6)));
  });
});
