import { describe, expect, test } from "vitest";
import { type AdviceQuestion, adviseLearningRate } from "../../src/train/advice.ts";

const question: AdviceQuestion = {
  rank: 8,
  alpha: 32,
  convention: "lora",
  optimizer: "adamw",
  width: 2000,
  learningRate: 5e-4,
};

const ask = (change: Partial<AdviceQuestion>) => adviseLearningRate({ ...question, ...change });

/** The effect of one first step on the output of a layer at B = 0, computed from its definition, averaged over draws of A. */
function simulateFirstStep({ rank, alpha, convention, optimizer }: AdviceQuestion): number {
  const [inputs, draws] = [64, 400];
  const scale = convention === "lora" ? alpha / rank : alpha / Math.sqrt(rank);
  let seed = 1;
  const uniform = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  let sum = 0;
  for (let draw = 0; draw < draws; draw++) {
    const x = Array.from({ length: inputs }, () => uniform() * 2 - 1);
    const h = Array.from({ length: rank }, () =>
      x.reduce((total, value) => total + (value * (uniform() * 2 - 1)) / Math.sqrt(inputs), 0),
    );
    // One output, with a gradient of 1: ∇B = scale · h; a step of rate 1 against it, then the output scale · B · h.
    const step = h.map((value) => (optimizer === "sgd" ? scale * value : Math.sign(scale * value)));
    sum += Math.abs(step.reduce((total, value, index) => total + scale * value * (h[index] ?? 0), 0));
  }
  return sum / draws;
}

describe("the size of the first step", () => {
  test.each([
    ["adamw", "lora", 1],
    ["adamw", "rslora", 4],
    ["sgd", "lora", 1 / 16],
    ["sgd", "rslora", 1],
  ] as const)("%s under %s changes by %d from rank 4 to rank 64", (optimizer, convention, factor) => {
    const low = { ...question, optimizer, convention, rank: 4 };
    const high = { ...low, rank: 64 };
    expect(adviseLearningRate(high).firstStep / adviseLearningRate(low).firstStep).toBeCloseTo(factor, 12);
    const simulated = simulateFirstStep(high) / simulateFirstStep(low);
    expect(Math.abs(simulated / factor - 1)).toBeLessThan(0.1);
  });

  test("is 1 for alpha 32 where the rank does not matter", () => {
    expect(ask({ rank: 128 }).firstStep).toBe(1);
    expect(ask({ optimizer: "sgd", convention: "rslora", rank: 16 }).firstStep).toBe(1);
  });
});

describe("the learning rates that suit", () => {
  test("are those of LoRA Without Regret at alpha 32, whatever the rank", () => {
    expect(ask({}).rates).toEqual([5e-4, 5e-4]);
    expect(ask({ rank: 512 }).rates).toEqual([5e-4, 5e-4]);
    const [low = 0, high = 0] = ask({ width: 4096 }).rates ?? [];
    expect(low).toBeCloseTo(2.858e-4, 6);
    expect(high).toBeCloseTo(4.73e-4, 6);
  });

  test("fall with what makes the first step larger", () => {
    expect(ask({ alpha: 64 }).rates?.[0]).toBeCloseTo(2.5e-4, 12);
    expect(ask({ convention: "rslora", rank: 64 }).rates?.[0]).toBeCloseTo(5e-4 / 8, 12);
  });

  test("hold the rates that adapters of stories260K were trained with", () => {
    for (const [rank, convention, rate] of [
      [8, "lora", 5e-3],
      [64, "rslora", 1.5e-3],
    ] as const) {
      const { rates, warnings } = ask({ rank, convention, alpha: 16, width: 64, learningRate: rate });
      expect(rates?.[0]).toBeLessThan(rate);
      expect(rates?.[1]).toBeGreaterThan(rate);
      expect(warnings).toEqual([]);
    }
  });

  test("are not given for SGD", () => {
    expect(ask({ optimizer: "sgd" }).rates).toBeUndefined();
    expect(ask({ optimizer: "sgd" }).facts).toEqual([
      "under alpha / rank SGD's first step falls as 1 / rank, here to 0.13 of that at rank 1",
    ]);
  });
});

describe("a warning", () => {
  test("says that rates far off will diverge or crawl", () => {
    expect(ask({ learningRate: 2e-2 }).warnings).toEqual([
      "a learning rate of 0.02 is 40 times above what suits (0.0005 to 0.0005): training may diverge",
    ]);
    expect(ask({ learningRate: 1e-5 }).warnings[0]).toMatch(/50 times below/);
  });

  test("says that a scale is out of use, as where alpha stayed when the rank rose", () => {
    expect(ask({ alpha: 8, rank: 64 }).warnings[0]).toBe(
      "the scale is 0.13: the adapter will hardly be heard; raise alpha, or use rslora",
    );
    expect(ask({ alpha: 64, rank: 256, convention: "rslora" }).warnings).toHaveLength(1);
    expect(ask({ alpha: 512, rank: 8 }).warnings.join()).toMatch(/the scale is 64: training is likely to diverge/);
  });
});
