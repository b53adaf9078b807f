/** Runs that are killed, or whose disk fails, while they save: what was whole stays whole, and the run goes on from it. */

import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CheckpointStore } from "../../src/train/run/checkpoint.ts";
import { runCli, underStrace, whyNoStrace } from "../support/process.js";
import { ROWS, TINY, weightsOf } from "./run-fixture.ts";

const noStrace = whyNoStrace();
const folder = mkdtempSync(join(tmpdir(), "lora-tool-test-"));
const out = join(folder, "run");
const ARGS = [
  "train",
  "--base",
  TINY,
  "--data",
  ROWS,
  "-o",
  out,
  "--device",
  "cpu",
  "--steps",
  "6",
  "--save-every",
  "2",
];

let golden: Buffer;

beforeAll(() => {
  expect(runCli(ARGS).code).toBe(0);
  golden = weightsOf(out);
});

beforeEach(() => rmSync(out, { recursive: true, force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const title = noStrace === undefined ? "a run that fails at" : `a run that fails (skipped: ${noStrace})`;

describe.skipIf(noStrace !== undefined)(title, () => {
  // Renames: three checkpoints, the report, the settings, the weights.
  it.each<[string, number[]]>([
    ["rename:signal=SIGKILL:when=2", [2]],
    ["pwrite64:error=ENOSPC:when=150", [2]],
  ])("%s keeps the checkpoints %j whole and resumes to the same bytes", (fault, steps) => {
    const ended = runCli(ARGS, { prefix: underStrace([fault]) });
    expect(ended.code).not.toBe(0);
    const store = new CheckpointStore(out);
    expect(store.steps()).toEqual(steps);
    for (const step of store.steps()) expect(store.read(step).step).toBe(step);
    expect(existsSync(join(out, "adapter_model.safetensors"))).toBe(false);
    const resumed = runCli([...ARGS, "--resume"]);
    expect([resumed.code, resumed.stderr.replace(/^(?:warning|checkpoint): .*\n/gm, "")]).toEqual([0, ""]);
    expect(weightsOf(out).equals(golden)).toBe(true);
    expect(readdirSync(join(out, "checkpoints")).sort()).toEqual(["step-2", "step-4", "step-6"]);
    expect(readdirSync(out).filter((name) => name.startsWith("."))).toEqual([]);
  });
});
