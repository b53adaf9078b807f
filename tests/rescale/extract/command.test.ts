/** `lora-tool extract` as a user calls it. */

import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BASE_TENSORS, Q, writeBase, writeTensors } from "../../merge/small-model.ts";
import { runCli } from "../../support/process.js";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function twoModels() {
  const folder = temporaryFolder();
  const base = writeBase(folder);
  const tuned = join(folder, "tuned");
  cpSync(base, tuned, { recursive: true });
  const changed = {
    [`${Q}.weight`]: { shape: [6, 8], value: (index: number) => Math.sin(index) },
    "model.norm.weight": { shape: [8], value: () => 2 },
  };
  writeTensors(join(tuned, "model.safetensors"), { ...BASE_TENSORS, ...changed });
  return { folder, base, tuned };
}

test("says what became factors, what is whole and what stayed", () => {
  const { folder, base, tuned } = twoModels();
  const { code, stdout, stderr } = runCli(["extract", base, tuned, "--rank", "2", "-o", join(folder, "out")]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^1 +2 +0\.\d+ +model\.layers\.\*\.self_attn\.q_proj$/m);
  expect(stdout).toMatch(/^same +2 tensors$/m);
  expect(stdout).toMatch(/^whole +model\.norm\.weight$/m);
});

test("--json prints one report, --dry-run writes nothing", () => {
  const { folder, base, tuned } = twoModels();
  const out = join(folder, "out");
  const { code, stdout } = runCli(["extract", base, tuned, "--energy", "0.9", "-o", out, "--json", "--dry-run"]);
  const report = JSON.parse(stdout);
  expect([code, report.modules.length, report.unchanged, existsSync(out)]).toEqual([0, 1, 2, false]);
});

test.each([
  [[], 2, /a rank or an energy/],
  [["--rank", "1", "--dtype", "keep"], 2, /Allowed choices/],
  [["--rank", "1", "--device", "cuda:0"], 2, /Allowed choices/],
])("%j exits with %d", (flags, expected, message) => {
  const { folder, base, tuned } = twoModels();
  const { code, stderr } = runCli(["extract", base, tuned, "-o", join(folder, "out"), ...flags]);
  expect([code, stderr]).toEqual([expected, expect.stringMatching(message)]);
  expect(existsSync(join(folder, "out"))).toBe(false);
});
