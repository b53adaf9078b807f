/** Learning rates against transformers (fixtures/generate/train_optimizer.py). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createSchedule, SCHEDULERS, type Scheduler } from "../../../src/train/optimise/schedule.ts";

interface Case {
  readonly scheduler: Scheduler;
  readonly arguments: Record<string, number | string>;
  readonly warmup: number;
  readonly total: number;
  readonly rate: number;
  readonly rates: readonly number[];
  readonly losses?: readonly number[];
}

const cases: readonly Case[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../fixtures/train/schedules.json"), "utf8"),
);

const open = (one: Case) =>
  createSchedule({
    scheduler: one.scheduler,
    learningRate: one.rate,
    warmupSteps: one.warmup,
    totalSteps: one.total,
    arguments: one.arguments,
  });

describe.each(cases)("$scheduler $arguments with $warmup steps of warm-up", (one) => {
  it("has the rates of transformers", () => {
    const schedule = open(one);
    one.rates.forEach((rate, t) => {
      expect(Math.abs(schedule.learningRate(t) - rate), `step ${t}`).toBeLessThanOrEqual(1e-15);
      schedule.observe(one.losses?.[t] ?? 0);
    });
  });

  it("goes on from its saved state as if it had not stopped", () => {
    const half = Math.floor(one.rates.length / 2);
    const before = open(one);
    for (let t = 0; t < half; t++) before.observe(one.losses?.[t] ?? 0);
    const after = open(one);
    const state = before.state();
    if (state !== undefined) after.restore(JSON.parse(JSON.stringify(state)));
    for (let t = half; t < one.rates.length; t++) {
      expect(after.learningRate(t)).toBeCloseTo(one.rates[t] ?? Number.NaN, 14);
      after.observe(one.losses?.[t] ?? 0);
    }
  });
});

describe("createSchedule", () => {
  const options = { learningRate: 1e-3, warmupSteps: 0, totalSteps: 10, arguments: {} };

  it("has a case for every schedule but constant, which warms up here", () => {
    const tested = new Set(cases.map(({ scheduler }) => scheduler));
    expect(SCHEDULERS.filter((name) => !tested.has(name))).toEqual(["constant"]);
    const constant = createSchedule({ ...options, scheduler: "constant", warmupSteps: 4 });
    expect([0, 1, 4, 9].map(constant.learningRate)).toEqual([0, 0.25e-3, 1e-3, 1e-3]);
  });

  it.each([
    ["linear", { num_cycles: 1 }, /linear has no argument "num_cycles"/],
    ["cosine", { num_cycles: "many" }, /expected a number of at least 0, got "many"/],
    ["cosine_with_min_lr", {}, /needs one of min_lr and min_lr_rate/],
    ["warmup_stable_decay", {}, /needs num_decay_steps/],
    ["warmup_stable_decay", { num_decay_steps: 3, decay_type: "exp" }, /expected one of linear, cosine, 1-sqrt/],
    ["polynomial", { lr_end: 1 }, /expected lr_end below 0.001/],
    ["greedy", { min_lr: 0.01 }, /expected at least 0.01, got 0.001/],
    ["reduce_lr_on_plateau", { factor: 2 }, /expected a number below 1/],
  ] as const)("refuses %s with %j", (scheduler, given, message) => {
    expect(() => createSchedule({ ...options, scheduler, arguments: given })).toThrow(message);
  });
});
