/** Twenty steps of training against PEFT and torch's AdamW, from the same models as PyTorch, or this program, puts them into ONNX. */

import { join } from "node:path";
import { convert } from "lora-tool";
import { describe, it } from "vitest";
import { exportPath } from "../support/onnx-train.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { expectParity } from "./parity-case.ts";
import { FIXTURES } from "./run-fixture.ts";

const CASES = [
  ["family-llama", "llama.dynamo"],
  ["family-mistral", "mistral.torchscript"],
  ["family-qwen2", "qwen2.dynamo"],
  ["family-qwen3", "qwen3.torchscript"],
  ["family-gemma2", "gemma2.dynamo"],
  ["family-gemma3", "gemma3.torchscript"],
  ["family-phi3", "phi3.dynamo"],
  ["family-gpt2", "gpt2.torchscript"],
  ["family-gpt-neox", "gpt-neox.opset23"],
  ["rslora-r64", "llama.torchscript"],
  ["dora-r8", "llama.opset23"],
  ["dora-gpt2", "gpt2.dynamo"],
  ["pissa", "llama.cache"],
  ["patterns", "llama.genai"],
  ["embeddings", "llama.ids"],
  // Of the head, the exporter stores the matrix turned.
  ["saved", "llama.torchscript"],
  ["saved", "llama.dynamo"],
] as const;

describe.each(CASES)("%s on %s", (name, file) => {
  it("has PEFT's losses to 1e-4 and its tensors to 2e-4 after twenty steps", () =>
    expectParity(name, exportPath(file)));
});

describe.each(["llama", "qwen3", "gemma2", "gpt2", "gpt-neox"])("%s as convert writes it", (family) => {
  it("trains as the folder that it was converted from", async () => {
    const file = join(temporaryFolder(), "model.onnx");
    await convert({ input: join(FIXTURES, "models", family), to: "onnx", out: file });
    await expectParity(`family-${family}`, file);
  });
});
