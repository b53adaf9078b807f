/** `lora-tool convert` as a user calls it. */

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { caseOf } from "./cases.ts";

async function call(...argv: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await run(argv, { stdout, stderr, interactive: false, signal: new AbortController().signal });
  return { code, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

const { adapter, base } = caseOf("peft/llama-patterns-layer10");

test("says what became of ranks and scales, what was folded and what was rounded", async () => {
  const out = join(temporaryFolder(), "adapter.gguf");
  const { code, stdout, stderr } = await call("convert", adapter, "--base", base, "--to", "gguf", "-o", out);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^layout +peft → gguf$/m);
  expect(stdout).toMatch(/^modules +12, rank 1, 2, 3, scale /m);
  expect(stdout).toMatch(
    /^note +scales are folded into lora_b: GGUF has one alpha for all, 5\.65\d+ \(4 modules, 4 of them/m,
  );
  expect(stdout).toMatch(/^note +alpha 5\.65\d+ is 5\.65\d+ in f32: scales are off by 1\.7e-8 of their size$/m);
  expect(stdout).toMatch(/^rounded +\d+ of \d+ multiplied elements, by at most \S+e-8 of their size$/m);
  expect(stdout).toMatch(/^wrote +\S+adapter\.gguf, /m);
});

test("prints one JSON report", async () => {
  const out = join(temporaryFolder(), "out");
  const { code, stdout, stderr } = await call("convert", adapter, "--to", "mlx", "-o", out, "--json");
  expect([code, stderr]).toEqual([0, ""]);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ kind: "adapter", input: adapter, out, method: "rsLoRA", from: "peft", to: "mlx" });
  expect(report.modules).toHaveLength(12);
  expect(report.result.files).toEqual([join(out, "adapters.safetensors"), join(out, "adapter_config.json")]);
});

test("takes config.json from the local folder that the adapter names as its base", async () => {
  const folder = temporaryFolder();
  const named = join(folder, "adapter");
  cpSync(adapter, named, { recursive: true });
  const path = join(named, "adapter_config.json");
  const settings = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...settings, base_model_name_or_path: base }));
  const { code, stdout, stderr } = await call("convert", named, "--to", "gguf", "-o", join(folder, "a.gguf"));
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain(`what the base is like is taken from "${base}", as the adapter says`);
});

describe("asked wrongly", () => {
  test.each([
    [["convert", adapter, "-o", "x"], 2, "--to"],
    [["convert", adapter, "--to", "ckpt", "-o", "x"], 2, "Allowed choices are peft, kohya, diffusers, mlx, gguf"],
    [["convert", adapter, "--to", "kohya", "-o", "x.gguf"], 2, "expected a file of the format safetensors for kohya"],
    [["convert", adapter, "--to", "gguf", "-o", "x"], 1, "GGUF needs the architecture and heads of the base"],
    [["convert", join(adapter, "nothing"), "--to", "mlx", "-o", "x"], 1, "no such file"],
  ])("%j exits with %i", async (argv, code, words) => {
    const answer = await call(...argv);
    expect(answer.code).toBe(code);
    expect(answer.stderr).toContain(words);
  });
});

test("shows examples of each kind in its help", async () => {
  const { code, stdout } = await call("convert", "--help");
  expect(code).toBe(0);
  for (const target of ["peft", "gguf", "mlx", "onnx-adapter"]) expect(stdout).toContain(`--to ${target}`);
});
