/** `lora-tool resize` as a user calls it. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pair, Q, writeAdapter } from "../../merge/small-model.ts";
import { runCli } from "../../support/process.js";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("says rank, alpha, scale and error of the modules", () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder, pair(Q), { target_modules: ["q_proj"] });
  const { code, stdout, stderr } = runCli(["resize", adapter, "--rank", "1", "-o", join(folder, "out")]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^1 +2 → 1 +2 +2 +0\.\d+ +model\.layers\.\*\.self_attn\.q_proj$/m);
  expect(stdout).toMatch(/^error +0\.\d+ of the deltas' norm$/m);
});

test("--json prints one report, --dry-run writes nothing", () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder);
  const out = join(folder, "out");
  const { code, stdout } = runCli(["resize", adapter, "--energy", "0.5", "-o", out, "--json", "--dry-run"]);
  expect([code, JSON.parse(stdout).modules.length, existsSync(out)]).toEqual([0, 2, false]);
});

test.each([
  [[], /a rank or an energy/],
  [["--rank", "0"], /at least 1/],
  [["--energy", "2"], /up to 1/],
  [["--rank", "1", "--dtype", "f8"], /Allowed choices/],
])("wrong usage %j exits with 2", (flags, message) => {
  const folder = temporaryFolder();
  const { code, stderr } = runCli(["resize", writeAdapter(folder), "-o", join(folder, "out"), ...flags]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  expect(readdirSync(folder)).toEqual(["adapter"]);
});
