/** `lora-tool combine` and `merge --method` as a user calls them. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../../../support/process.js";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { pair, Q, writeAdapter, writeBase } from "../../small-model.ts";

test("says what became of the modules, and which adapters have them", () => {
  const folder = temporaryFolder();
  const a = writeAdapter(folder, undefined, {}, "a");
  const b = writeAdapter(folder, pair(Q), { target_modules: ["q_proj"] }, "b");
  const { code, stdout, stderr } = runCli(["combine", a, `${b}=0.5`, "-o", join(folder, "out")]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^1 +2 +4 +8 +2 +0 +model\.layers\.\*\.self_attn\.q_proj$/m);
  expect(stdout).toMatch(/^1 +1 +2 +4 +2 +0 +model\.layers\.\*\.self_attn\.v_proj$/m);
  expect(stdout).toMatch(/^adapter +.*b: LoRA, 1 modules, rank 2, scale 2, weight 0\.5$/m);
});

test("--json prints one report, --dry-run writes nothing, what has no part is named", () => {
  const folder = temporaryFolder();
  const a = writeAdapter(folder);
  const out = join(folder, "out");
  const { code, stdout } = runCli(["combine", a, "--density", "0.5", "-o", out, "--json", "--dry-run"]);
  const report = JSON.parse(stdout);
  expect([code, report.method, report.warnings, existsSync(out)]).toEqual([
    0,
    "add",
    ["density has no part in add"],
    false,
  ]);
});

test("--help lists the methods with their papers", () => {
  for (const command of ["combine", "merge"]) {
    const { stdout } = runCli([command, "--help"]);
    expect(stdout).toMatch(/^ {2}ties +the largest elements .*2306\.01708\)$/m);
    expect(stdout).toMatch(/^ {2}dare-linear +.*2311\.03099\)$/m);
  }
});

test("merge takes a method, and verify finds what it made only under the same one", () => {
  const folder = temporaryFolder();
  const [base, a] = [writeBase(folder), writeAdapter(folder, undefined, {}, "a")];
  const out = join(folder, "out");
  const flags = ["--method", "ties", "--density", "0.3"];
  expect(runCli(["merge", base, a, "-o", out, "--workers", "1", ...flags]).code).toBe(0);
  expect(runCli(["verify", base, a, out, "--workers", "1", ...flags]).code).toBe(0);
  expect(runCli(["verify", base, a, out, "--workers", "1"]).code).toBe(1);
});

test.each([
  [["--method", "slerp"], 2, /Allowed choices/],
  [["--density", "0"], 2, /above 0/],
  [["--seed", "-1"], 2, /at least 0/],
  [["--method", "svd", "--factor-wise"], 2, /one meaning only/],
  [["--device", "webgpu"], 1, /no double precision/],
])("%j exits with %d", (flags, expected, message) => {
  const folder = temporaryFolder();
  const { code, stderr } = runCli(["combine", writeAdapter(folder), "-o", join(folder, "out"), ...flags]);
  expect([code, stderr]).toEqual([expected, expect.stringMatching(message)]);
  expect(readdirSync(folder)).toEqual(["adapter"]);
});
