/** Real sweeps of a real model, small: the built program, cells in processes of their own. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SweepOptions, sweep } from "lora-tool";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errorOfBuilt } from "../../support/errors.ts";
import { CLI, runCli } from "../../support/process.js";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");
const BASE = join(FIXTURES, "stories260K");

const folder = mkdtempSync(join(tmpdir(), "lora-tool-sweep-"));
const data = join(folder, "rows.jsonl");
const whole = join(folder, "whole");

/** One thread each, so that cells beside each other compute what cells alone compute. */
const OPTIONS: SweepOptions = {
  base: BASE,
  data,
  ranks: [4, 64],
  lrs: [1e-3],
  steps: 3,
  batchSize: 4,
  threads: 1,
  jobs: 2,
  out: whole,
};

const textOf = (...path: string[]) => readFileSync(join(...path), "utf8");

beforeAll(async () => {
  const rows = Array.from({ length: 16 }, (_, row) => ({
    input_ids: Array.from({ length: 48 }, (_, at) => 3 + ((row * 131 + at * at * 17) % 500)),
  }));
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await sweep(OPTIONS);
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe("a sweep", () => {
  it("leaves a PEFT folder with its metrics for each cell, and the report at the top", () => {
    const cells = readdirSync(whole).filter((name) => name.startsWith("rank-"));
    expect(cells).toHaveLength(4);
    for (const cell of cells) {
      const files = readdirSync(join(whole, cell));
      expect(files).toEqual(
        expect.arrayContaining(["adapter_config.json", "adapter_model.safetensors", "metrics.jsonl"]),
      );
    }
    expect(textOf(whole, "report.html")).toMatch(/^<!doctype html>/);
    const report = JSON.parse(textOf(whole, "report.json"));
    expect(report.cells.map(({ rank, scaling }: { rank: number; scaling: string }) => [rank, scaling])).toEqual([
      [4, "lora"],
      [4, "rslora"],
      [64, "lora"],
      [64, "rslora"],
    ]);
    for (const cell of report.cells) {
      expect(cell.steps.map(({ step }: { step: number }) => step)).toEqual([1, 2, 3]);
      expect(cell.final_loss).toBe(cell.steps.at(-1).loss);
    }
  });

  it("shows the law of the first step: ‖∂L/∂up‖ ∝ 1/√rank under lora, the same under rslora", () => {
    const report = JSON.parse(textOf(whole, "report.json"));
    const first = (rank: number, scaling: string): number =>
      report.cells.find((cell: { rank: number; scaling: string }) => cell.rank === rank && cell.scaling === scaling)
        .steps[0].grad_norm;
    // Ranks 4 and 64: √16. The norm of a random down of rank 4 varies by some percent.
    expect(first(4, "lora") / first(64, "lora")).toBeGreaterThan(4 * 0.8);
    expect(first(4, "lora") / first(64, "lora")).toBeLessThan(4 * 1.25);
    expect(first(4, "rslora") / first(64, "rslora")).toBeGreaterThan(0.8);
    expect(first(4, "rslora") / first(64, "rslora")).toBeLessThan(1.25);
    // Equal adapters, and scales that differ by √rank: exact.
    expect(first(64, "rslora") / first(64, "lora")).toBeCloseTo(8, 4);
  });

  it("trains nothing again when it is complete", async () => {
    const before = textOf(whole, "report.json");
    const report = await sweep(OPTIONS);
    expect(report.trained).toBe(0);
    expect(textOf(whole, "report.json")).toBe(before);
  });

  it("stays as it was where the device of one that starts over is absent", async () => {
    const before = readdirSync(whole);
    // No platform has both.
    const device = process.platform === "win32" ? "coreml" : "dml";
    const error = await errorOfBuilt(() => sweep({ ...OPTIONS, overwrite: true, device }));
    expect(error).toMatchObject({ code: "DEVICE_UNAVAILABLE" });
    expect(readdirSync(whole)).toEqual(before);
  });

  it("refuses a folder of another sweep, and one that is no sweep's", async () => {
    const other = await errorOfBuilt(() => sweep({ ...OPTIONS, seeds: [7] }));
    expect(other.code).toBe("RESUME_MISMATCH");
    expect(other.message).toContain("seeds");
    const foreign = await errorOfBuilt(() => sweep({ ...OPTIONS, out: folder }));
    expect(foreign.code).toBe("OUTPUT_EXISTS");
  });

  it("writes nothing under dryRun, and says what it would train", async () => {
    const out = join(folder, "dry");
    const report = await sweep({ ...OPTIONS, out, dryRun: true });
    expect(report.planned).toHaveLength(4);
    expect(existsSync(out)).toBe(false);
  });
});

describe("parts", () => {
  const out = join(folder, "parts");

  it("are joined by finish into the report of one run, and not before all are there", async () => {
    const parts = [1, 2].map((index) => sweep({ ...OPTIONS, out, jobs: 1, part: { index, count: 2 } }));
    const [first] = await Promise.all(parts);
    expect(first?.planned).toHaveLength(2);
    expect(existsSync(join(out, "report.json"))).toBe(false);
    rmSync(join(out, first?.planned[0]?.folder ?? "", "cell.json"));
    const error = await errorOfBuilt(() => sweep({ ...OPTIONS, out, finish: true }));
    expect(error.code).toBe("PARTS_MISMATCH");
    await sweep({ ...OPTIONS, out, part: { index: 1, count: 2 } });
    const finished = await sweep({ ...OPTIONS, out, finish: true });
    expect(finished.trained).toBe(0);
    for (const name of ["report.json", "report.html"]) expect(textOf(out, name)).toBe(textOf(whole, name));
  });
});

describe("a sweep that is killed", () => {
  const out = join(folder, "killed");
  const args = (target: string) => [
    ..."sweep --ranks 4,64 --lrs 1e-3 --steps 3 --batch-size 4 --threads 1".split(" "),
    ...["--base", BASE, "--data", data, "-o", target],
  ];

  it("goes on where it was, with the same report", async () => {
    const child = spawn(process.execPath, [CLI, ...args(out), "--quiet"], { stdio: "ignore" });
    const done = () => existsSync(out) && readdirSync(out).some((name) => existsSync(join(out, name, "cell.json")));
    await expect.poll(done, { timeout: 30_000, interval: 20 }).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    const again = runCli([...args(out), "--json"]);
    expect(again.stderr).toBe("");
    const { trained, planned } = JSON.parse(again.stdout);
    expect(planned).toHaveLength(4);
    expect(trained).toBeLessThan(4);
    expect(textOf(out, "report.json")).toBe(textOf(whole, "report.json"));
  });
});
