/** `lora-tool convert` with models: reports, words and exit codes. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MODELS } from "../../models/logits-fixture.ts";
import { runCli } from "../../support/process.js";
import { temporaryFolder } from "../../support/temporary-folder.ts";

describe("lora-tool convert", () => {
  it("says what it wrote, in words and as JSON, there and back", () => {
    const folder = temporaryFolder();
    const out = join(folder, "model.onnx");
    const there = runCli(["convert", join(MODELS, "gemma2"), "--to", "onnx", "-o", out]);
    expect(there.stdout).toMatch(
      /model +.*: gemma2\n.*safetensors → onnx\n.*35 tensors.*\n[\s\S]*model\.onnx_data.*model\.onnx/,
    );
    expect(there.code).toBe(0);
    const back = runCli(["convert", out, "--to", "safetensors", "-o", join(folder, "back"), "--json"]);
    expect(JSON.parse(back.stdout)).toMatchObject({ kind: "model", from: "onnx", to: "safetensors", tensors: 35 });
    expect([back.code, back.stderr]).toEqual([0, ""]);
  });

  it("exits with 1 for a model type that it cannot compute, naming key and known types", () => {
    const base = join(MODELS, "../peft/mixtral-experts/base");
    const { code, stdout, stderr } = runCli(["convert", base, "--to", "onnx", "-o", join(temporaryFolder(), "x.onnx")]);
    expect(stderr).toMatch(/config\.json: "model_type": expected one of llama, .*, got "mixtral"/);
    expect([code, stdout]).toEqual([1, ""]);
  });

  it("exits with 2 for flags that do not fit together", () => {
    const out = join(temporaryFolder(), "x");
    const { code, stderr } = runCli(["convert", join(MODELS, "llama"), "--to", "safetensors", "--link", "-o", out]);
    expect(stderr).toContain("only models for onnx can be linked");
    expect(code).toBe(2);
  });
});
