/** Options → settings: ranges, what excludes what, and who wins. */

import { describe, expect, it } from "vitest";
import type { InitialSettings } from "../../src/train/adapter/initial-settings.ts";
import type { TrainOptions } from "../../src/train/options.ts";
import { resolveSettings } from "../../src/train/settings.ts";

const PATHS = { base: "base", data: "rows.jsonl", out: "out" };

const INITIAL: InitialSettings = {
  convention: "rslora",
  rank: 32,
  alpha: 64,
  rankPattern: new Map([["q_proj", 4]]),
  alphaPattern: new Map(),
  targetModules: ["q_proj"],
  layers: [1],
  modulesToSave: ["lm_head"],
  dora: true,
  init: "pissa",
};

describe("resolveSettings", () => {
  it("has the defaults of the contract", () => {
    const { adapter, optimiser, run } = resolveSettings(PATHS);
    expect(adapter).toMatchObject({ convention: "lora", rank: 8, alpha: 16, targetModules: "all-linear", dropout: 0 });
    expect(optimiser).toMatchObject({ optimizer: "adamw", weightDecay: 0, betas: [0.9, 0.999], eps: 1e-8 });
    expect(optimiser).toMatchObject({ scheduler: "constant", warmupSteps: 0, maxGradNorm: 1 });
    expect(run).toMatchObject({ batchSize: 8, gradAccum: 1, maxLength: 1024, seed: 42, shuffle: true, logEvery: 1 });
  });

  it("lets an initial adapter win over defaults, and flags over it", () => {
    const { adapter } = resolveSettings({ ...PATHS, alpha: 8, targetModules: "all-linear" }, INITIAL);
    expect(adapter).toMatchObject({ ...INITIAL, alpha: 8, targetModules: "all-linear" });
  });

  it.each<[Partial<TrainOptions>, RegExp]>([
    [{ rank: 1.5 }, /"rank": expected a whole number of at least 1, got 1.5/],
    [{ alpha: 0 }, /"alpha": expected a number above 0, got 0/],
    [{ alphaPattern: { q_proj: -1 } }, /"pattern q_proj": expected a number above 0/],
    [{ dropout: 1 }, /"dropout": expected a number from 0 to below 1, got 1/],
    [{ betas: [0.9, 1] }, /"betas": expected a number from 0 to below 1, got 1/],
    [{ lr: Number.NaN }, /"lr": expected a number of at least 0, got NaN/],
    [{ warmupSteps: 1.5 }, /"warmupSteps": expected a whole number of steps, or a share/],
    [{ seed: -1 }, /"seed": expected a whole number of at least 0/],
    [{ layers: [0.5] }, /"layers": expected a whole number/],
    [{ logitRows: 0 }, /"logitRows": expected a whole number of at least 1, got 0/],
    [{ threads: 1.5 }, /"threads": expected a whole number of at least 1, got 1.5/],
    [{ steps: 1, epochs: 1 }, /steps and epochs exclude each other/],
    [{ evalEvery: 1 }, /evalEvery needs evalData/],
    [{ earlyStopping: 1 }, /earlyStopping needs evalData/],
    [{ scheduler: "greedy" }, /follows evaluations: it needs evalData/],
  ])("refuses %j", (options, message) => {
    expect(() => resolveSettings({ ...PATHS, ...options })).toThrow(message);
  });
});
