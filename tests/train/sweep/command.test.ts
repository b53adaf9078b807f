import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { runCli } from "../../support/process.js";

const BASE = join(import.meta.dirname, "../../../fixtures/stories260K");
const folder = mkdtempSync(join(tmpdir(), "lora-tool-sweep-"));
const data = join(folder, "rows.jsonl");
writeFileSync(data, `${JSON.stringify({ input_ids: [1, 2, 3, 4] })}\n`);

afterAll(() => rmSync(folder, { recursive: true }));

const sweep = (...flags: string[]) =>
  runCli(["sweep", "--base", BASE, "--data", data, "--steps", "1", "-o", join(folder, "out"), ...flags]);

it("lists its cells under --dry-run and writes nothing; --lr and --lrs, --seed and --seeds are the same", () => {
  const ended = sweep("--ranks", "4,8", "--lr", "1e-3", "--seed", "1,2", "--dry-run", "--json");
  expect(ended.code).toBe(0);
  const { planned, cells } = JSON.parse(ended.stdout);
  expect(planned).toHaveLength(8);
  expect(planned[0]).toEqual({ rank: 4, scaling: "lora", lr: 1e-3, seed: 1, folder: "rank-4-lora-lr-0.001-seed-1" });
  expect(cells).toBeUndefined();
  expect(existsSync(join(folder, "out"))).toBe(false);
  expect(sweep("--ranks", "4,8", "--lrs", "1e-3", "--seeds", "1,2", "--dry-run", "--json").stdout).toBe(ended.stdout);
});

it.each([
  [["--ranks", "4,x"], "whole number"],
  [["--ranks", "0"], "whole number"],
  [["--ranks", "4", "--scalings", "lora,other"], "rslora"],
  [["--ranks", "4", "--lrs", "-1"], "above 0"],
  [["--ranks", "4", "--part", "3/2"], "i/n"],
  [["--ranks", "4", "--part", "1/2", "--finish"], "exclude"],
  [["--ranks", "4,4"], "twice"],
  [[], "--ranks"],
])("ends with 2 for %j", (flags, text) => {
  const ended = sweep(...flags);
  expect([ended.code, ended.stdout]).toEqual([2, ""]);
  expect(ended.stderr).toContain(text);
});

it("ends with 1 where the base is not there, before anything is written", () => {
  const ended = sweep("--ranks", "4", "--base", join(folder, "nothing"));
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain("nothing");
  expect(existsSync(join(folder, "out"))).toBe(false);
});
