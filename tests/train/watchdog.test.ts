/** Runs that go wrong: numbers that are not finite, adapters that nothing moves, signals. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { NonFiniteError, type TrainEvent } from "lora-tool";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFile, temporaryFolder } from "../support/temporary-folder.ts";
import { metricsOf, ROWS, run } from "./run-fixture.ts";

let out: string;

beforeEach(() => {
  out = join(temporaryFolder(), "run");
});

describe("a loss that is not finite", () => {
  const diverging = { optimizer: "sgd", lr: 1e30, maxGradNorm: 0, init: "random" } as const;

  it("stops the run, names step and module, and keeps the steps before it", async () => {
    const error = await run(out, diverging).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error).toMatchObject({
      code: "NON_FINITE",
      message: expect.stringMatching(/^"model\.layers\.0\.self_attn\.q_proj": step 2: the loss is NaN/),
      hint: expect.stringContaining("--lr"),
    });
    expect(readdirSync(join(out, "checkpoints"))).toEqual(["step-1"]);
    expect(metricsOf(out).map(({ step }) => step)).toEqual([1]);
    expect(existsSync(join(out, "adapter_model.safetensors"))).toBe(false);
  });
});

describe("an adapter that the loss does not depend on", () => {
  it("is named after the first step", async () => {
    const events: TrainEvent[] = [];
    // Rows of one pair of tokens: positions beyond the first see nothing that is scored, so attention has one key and
    // the scores of queries and keys do not matter.
    const data = temporaryFile("pairs.jsonl", '{"input_ids": [5, 6]}\n{"input_ids": [7, 8]}\n');
    const report = await run(out, { data, steps: 1, onEvent: (event) => events.push(event) });
    const told = events.flatMap((event) => (event.kind === "warning" ? [event.message] : []));
    expect(report.warnings).toEqual(told);
    const warnings = told.filter((message) => message.includes("gradient"));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^the gradient of "model\.layers\.0\.self_attn\.q_proj", .*k_proj.* is zero/);
    expect(warnings[0]).not.toMatch(/v_proj|mlp/);
  });
});

describe("evaluations", () => {
  it("stand in the line of their step, name the best, and stop a run that gets no better", async () => {
    // What is learned contradicts what is measured.
    const report = await run(out, {
      data: temporaryFile("rows.jsonl", '{"input_ids": [5, 6, 7, 8]}\n'),
      evalData: temporaryFile("other.jsonl", '{"input_ids": [5, 9, 10, 11]}\n'),
      evalEvery: 2,
      earlyStopping: 2,
      steps: 40,
    });
    const evaluated = metricsOf(out).filter(({ eval_loss: loss }) => loss !== undefined);
    expect(evaluated.every(({ step }) => step % 2 === 0)).toBe(true);
    const best = evaluated.reduce((a, b) => ((a.eval_loss ?? 0) <= (b.eval_loss ?? 0) ? a : b));
    expect(report.result?.best).toEqual({ step: best.step, loss: best.eval_loss });
    expect(report.result?.writtenStep).toBe(best.step);
    expect(report.result?.steps).toBe(best.step + 4);
    expect(readdirSync(join(out, "checkpoints"))).toContain(`step-${best.step}`);
  });

  it("write the last step's adapter when the best is not asked for", async () => {
    const report = await run(out, { evalData: ROWS, evalEvery: 1, steps: 3 });
    expect(report.result?.writtenStep).toBe(3);
  });
});
