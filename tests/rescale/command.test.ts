/** `lora-tool rescale` as a user calls it. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import { pair, Q, writeAdapter } from "../merge/small-model.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function call(...argv: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await run(argv, { stdout, stderr, interactive: false, signal: new AbortController().signal });
  return { code, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

test("says rank, alpha and scale of the modules before and after", async () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder, pair(Q), { target_modules: ["q_proj"] });
  const { code, stdout, stderr } = await call("rescale", adapter, "--to", "rslora", "-o", join(folder, "out"));
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^1 +2 → 2 +4 → 2\.82843 +2 → 2 +model\.layers\.\*\.self_attn\.q_proj$/m);
  expect(stdout).toMatch(/alpha \/ rank → alpha \/ √rank/);
  expect(stdout).toMatch(/the same bytes/);
});

test("shows what lora_B is multiplied by when scales are folded", async () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder, pair(Q), { lora_alpha: 3 });
  const { stdout } = await call("rescale", adapter, "--to", "lora", "--bake", "-o", join(folder, "out"));
  expect(stdout).toMatch(/^1 +2 → 2 +3 → 2 +1\.5 → 1 +× 1\.5 +model/m);
});

test("--json prints one report, --dry-run writes nothing", async () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder, pair(Q));
  const before = readFileSync(join(adapter, "adapter_config.json"), "utf8");
  const { code, stdout } = await call("rescale", adapter, "--to", "rslora", "-o", adapter, "--json", "--dry-run");
  expect([code, JSON.parse(stdout).modules[0].exact]).toEqual([0, true]);
  expect(readFileSync(join(adapter, "adapter_config.json"), "utf8")).toBe(before);
});

test.each([
  [["--to", "both"], 2],
  [[], 2],
  [["--to", "lora", "--alpha", "-1"], 2],
  [["--to", "lora", "--flatten"], 2],
])("wrong usage %j exits with %d", async (flags, expected) => {
  const folder = temporaryFolder();
  const { code } = await call("rescale", writeAdapter(folder), "-o", join(folder, "out"), ...flags);
  expect(code).toBe(expected);
});
