/** Runs that stop and go on: bit for bit the same, from the newest whole checkpoint, or not at all. */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InterruptedError, type TrainOptions } from "lora-tool";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { lossesOf, ROWS, run, weightsOf } from "./run-fixture.ts";

let folder: string;
let out: string;

beforeEach(() => {
  folder = temporaryFolder();
  out = join(folder, "run");
});

/** Stops a run after a step, as a signal does. */
async function stopAfter(step: number, options: Partial<TrainOptions>): Promise<void> {
  const controller = new AbortController();
  const ended = run(out, {
    ...options,
    signal: controller.signal,
    onEvent: (event) => {
      if (event.kind === "step" && event.step === step) controller.abort();
    },
  });
  await expect(ended).rejects.toThrow(InterruptedError);
}

const checkpoints = () => readdirSync(join(out, "checkpoints")).sort();

describe.each<[string, Partial<TrainOptions>]>([
  [
    "LoRA with dropout, accumulation and a schedule",
    { dropout: 0.2, gradAccum: 2, scheduler: "cosine", warmupSteps: 2 },
  ],
  ["DoRA with SGD", { dora: true, optimizer: "sgd" }],
  ["PiSSA with recomputed blocks", { init: "pissa", checkpointBlocks: true }],
  ["a whole module", { targetModules: "q_proj", modulesToSave: ["lm_head"] }],
  [
    "a schedule that follows evaluations",
    {
      scheduler: "reduce_lr_on_plateau",
      schedulerArgs: { patience: 0, factor: 0.5 },
      evalData: ROWS,
      evalEvery: 1,
      best: true,
    },
  ],
])("%s", (_, options) => {
  it("is the same, byte for byte, whether or not it was stopped in between", async () => {
    await run(out, options);
    const [weights, losses] = [weightsOf(out), lossesOf(out)];
    rmSync(out, { recursive: true });
    await stopAfter(2, options);
    expect(existsSync(join(out, "adapter_model.safetensors"))).toBe(false);
    expect(checkpoints()).toContain("step-2");
    const report = await run(out, { ...options, resume: true });
    expect(report.result?.resumedFrom).toBe(2);
    expect(lossesOf(out)).toEqual(losses);
    expect(weightsOf(out).equals(weights)).toBe(true);
  });
});

describe("checkpoints", () => {
  it("are written when they are due, and kept as many as asked", async () => {
    await run(out, { saveEvery: 2 });
    expect(checkpoints()).toEqual(["step-2", "step-4", "step-6"]);
    await run(out, { saveEvery: 1, keepCheckpoints: 2, overwrite: true });
    expect(checkpoints()).toEqual(["step-5", "step-6"]);
  });

  it("hold an adapter that training can start from", async () => {
    await run(out, { saveEvery: 3 });
    const start = join(out, "checkpoints/step-3");
    await run(join(folder, "next"), { initAdapter: start, rank: undefined, steps: 1 });
    expect(weightsOf(start).equals(weightsOf(join(folder, "next")))).toBe(false);
  });

  it.each([
    ["adapter_model.safetensors", (bytes: Buffer) => bytes.fill(1, bytes.length - 4)],
    ["manifest.json", () => Buffer.from("[]")],
  ])("are passed over with a warning when %s is broken", async (name, damage) => {
    await run(out, { saveEvery: 2 });
    const weights = weightsOf(out);
    const file = join(out, "checkpoints/step-6", name);
    writeFileSync(file, damage(readFileSync(file)));
    const report = await run(out, { resume: true });
    expect(report.result?.resumedFrom).toBe(4);
    expect(report.warnings.join("\n")).toMatch(/step-6 is no whole checkpoint and is passed over: .*step-6/);
    expect(weightsOf(out).equals(weights)).toBe(true);
  });

  it("are refused when all of them are broken", async () => {
    await run(out, { saveEvery: 6 });
    rmSync(join(out, "checkpoints/step-6/optimizer.safetensors"));
    await expect(run(out, { resume: true })).rejects.toThrow(/none of its 1 checkpoints is whole/);
  });

  it("are those of their settings, base and data only", async () => {
    await run(out, { saveEvery: 6 });
    const other = join(folder, "other.jsonl");
    writeFileSync(other, `{"input_ids": [3, 4]}\n${readFileSync(ROWS, "utf8")}`);
    await expect(run(out, { resume: true, lr: 1e-3, rank: 8 })).rejects.toThrow(
      /other settings:\n {2}rank: the checkpoint has 4, got 8\n {2}learningRate: the checkpoint has 0.01, got 0.001/,
    );
    await expect(run(out, { resume: true, data: other })).rejects.toThrow(
      /\n {2}data: the checkpoint has [0-9a-f]{64}/,
    );
    await expect(run(out, { resume: true, steps: 7 })).rejects.toThrow(/totalSteps: the checkpoint has 6, got 7/);
  });

  it("need not be there: a run that is told to resume then starts", async () => {
    const report = await run(out, { resume: true });
    expect(report.warnings).toContain("there is no checkpoint to resume from: starting anew");
    expect(report.result?.steps).toBe(6);
  });
});

describe("the output folder", () => {
  it("is not written over unless asked, and then loses nothing but what runs write", async () => {
    await run(out, { saveEvery: 2 });
    writeFileSync(join(out, "notes.txt"), "mine");
    await expect(run(out)).rejects.toThrow(/already exists/);
    await run(out, { overwrite: true, steps: 2 });
    expect(readFileSync(join(out, "notes.txt"), "utf8")).toBe("mine");
    expect(existsSync(join(out, "checkpoints"))).toBe(false);
    expect(lossesOf(out)).toHaveLength(2);
  });
});
