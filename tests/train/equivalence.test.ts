/** The same training in other words: batches and accumulation, packing, recomputation, chunks; and what comes out of it. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect, merge, type TrainOptions, verify } from "lora-tool";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { distance, FIXTURES, metricsOf, numbers, ROWS, run, TINY, weightsOf } from "./run-fixture.ts";

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

/** Trains both ways and compares what comes out. */
async function expectSame(one: Partial<TrainOptions>, other: Partial<TrainOptions>, tolerance: number): Promise<void> {
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  await run(a, one);
  await run(b, other);
  const losses = metricsOf(a).map(({ loss }) => loss);
  for (const [index, { loss }] of metricsOf(b).entries()) {
    expect(Math.abs(loss / (losses[index] ?? 0) - 1)).toBeLessThanOrEqual(tolerance);
  }
  expect(distance(numbers(a), numbers(b))).toBeLessThanOrEqual(tolerance);
}

describe("rows of unequal length", () => {
  it("weigh the same in a batch of 8 as in 8 accumulated batches of 1", async () => {
    await expectSame({ batchSize: 8 }, { batchSize: 1, gradAccum: 8 }, 1e-5);
  });

  it("give the same packed into one sequence, where they do not see each other, as apart", async () => {
    // Packs of at most 13 tokens out of rows of 6 and 7: two a pack, in the order of the file.
    const rows = readFileSync(ROWS, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).input_ids as number[]);
    const data = join(folder, "rows.jsonl");
    const cut = rows.filter(({ length }) => length >= 7).slice(0, 16);
    const lines = cut.map((ids, index) => JSON.stringify({ input_ids: ids.slice(0, 6 + (index % 2)) }));
    writeFileSync(data, lines.join("\n"));
    const common = { data, shuffle: false, steps: 3 };
    await expectSame({ ...common, batchSize: 16 }, { ...common, batchSize: 8, packing: true, maxLength: 13 }, 1e-5);
    expect(metricsOf(join(folder, "a")).map(({ tokens }) => tokens)).toEqual(
      metricsOf(join(folder, "b")).map(({ tokens }) => tokens),
    );
  });
});

describe("less memory", () => {
  it.each<[string, Partial<TrainOptions>]>([
    ["DoRA with dropout", { dora: true, dropout: 0.1 }],
    ["blocks of which only the last is trained", { layers: [1] }],
    ["parallel residuals", { base: join(FIXTURES, "models/gpt-neox") }],
    ["whole modules", { targetModules: "q_proj", modulesToSave: ["embed_tokens", "norm"] }],
  ])("by recomputing blocks changes nothing: %s", async (_, options) => {
    await expectSame(options, { ...options, checkpointBlocks: true }, 1e-6);
  });

  it("by fewer rows of logits at a time changes nothing", async () => {
    await expectSame({}, { logitRows: 7 }, 1e-5);
  });
});

describe("a trained adapter", () => {
  it.each<[string, Partial<TrainOptions>]>([
    ["DoRA", { dora: true }],
    ["PiSSA", { init: "pissa" }],
    ["OLoRA", { init: "olora" }],
    ["rsLoRA with patterns", { scaling: "rslora", rankPattern: { q_proj: 2 }, alphaPattern: { "layers.1.mlp.*": 4 } }],
    ["whole modules", { targetModules: "v_proj", modulesToSave: ["lm_head"] }],
  ])("merges to what was trained: %s", async (_, options) => {
    const [adapter, merged, again] = [join(folder, "adapter"), join(folder, "merged"), join(folder, "again")];
    await run(adapter, { ...options, steps: 10 });
    await merge({ base: TINY, adapters: [{ path: adapter }], out: merged });
    const verification = await verify({ base: TINY, adapters: [{ path: adapter }], merged });
    expect(verification.passed).toBe(true);
    // One row a step, with nothing learned: the losses of the adapter on its base, and of the merged weights.
    const evaluate = { evalData: ROWS, steps: 1, lr: 1e-30, shuffle: false } as const;
    await run(again, { ...evaluate, initAdapter: adapter, rank: undefined });
    const unmerged = metricsOf(again)[0]?.eval_loss ?? Number.NaN;
    await run(again, { ...evaluate, base: merged, overwrite: true });
    expect(Math.abs((metricsOf(again)[0]?.eval_loss ?? Number.NaN) / unmerged - 1)).toBeLessThan(1e-5);
  });

  it("shows its scales, and is the same whatever the number of threads or modules beside it", async () => {
    const out = join(folder, "adapter");
    const report = await run(out, { scaling: "rslora", rank: 16, alpha: 8, rankPattern: { q_proj: 4 } });
    const scales = new Map(report.modules.map(({ name, scale }) => [name, scale]));
    expect(scales.get("model.layers.0.self_attn.q_proj")).toBe(4);
    expect(scales.get("model.layers.1.mlp.up_proj")).toBe(2);
    const seen = await inspect({ path: out });
    expect(seen.kind === "adapter" && seen.modules.every(({ name, scale }) => scales.get(name) === scale)).toBe(true);
    const weights = weightsOf(out);
    await run(out, { scaling: "rslora", rank: 16, alpha: 8, rankPattern: { q_proj: 4 }, overwrite: true });
    expect(weightsOf(out).equals(weights)).toBe(true);
  });
});
