/**
 * Adapters of language models in the layouts of other tools: what is written merges to what the original must give, and
 * what a layout cannot say is refused with the module and the reason, and nothing is written.
 */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { convert, merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { writeAdapter, writeBase } from "../merge/small-model.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { caseOf, expectSameMerge } from "./cases.ts";

/** Names of cases, and for each layout the name of what is written. */
const CARRIED = {
  mlx: {
    out: "adapter",
    names: [
      "peft/llama-patterns-layer10",
      "peft/llama-dora-rslora",
      "peft/llama-bf16-adapter-bf16",
      "peft/llama-embedding",
      "peft/tied-ensure-weight-tying",
      "peft/mixtral-experts",
      "peft/mixtral-expert-major",
      "peft/mixtral-v4-adapter",
      "peft/gpt2-lora",
      "peft/adalora",
      "mlx/dora-embedding",
      "mlx/experts-mixtral",
      "gguf/llama",
      "onnx-adapter/gpt2",
    ],
  },
  gguf: {
    out: "adapter.gguf",
    names: [
      "peft/llama-lora",
      "peft/llama-rslora",
      "peft/llama-patterns-layer10",
      "peft/llama-f32-adapter-f16",
      "peft/llama-embedding",
      "peft/llava-text-adapter",
      "peft/gpt2-lora",
      "mlx/lora",
      "gguf/llama",
      "gguf/llama-heads",
      "gguf/qwen2-alpha-0",
    ],
  },
  "onnx-adapter": {
    out: "adapter.onnx_adapter",
    names: [
      "peft/llama-bf16-adapter-bf16",
      "peft/llama-patterns",
      "peft/gpt2-lora",
      "peft/adalora",
      "mlx/experts-mixtral",
      "gguf/llama-heads",
      "onnx-adapter/lora",
    ],
  },
} as const;

for (const [target, { out, names }] of Object.entries(CARRIED)) {
  describe.each(names)(`%s as ${target}`, (name) => {
    test("keeps its deltas", async () => {
      const one = caseOf(name);
      const folder = temporaryFolder();
      const to = target as keyof typeof CARRIED;
      const { base, adapter: input, expertOrder } = one;
      const adapter = join(folder, out);
      const report = await convert({ input, base, to, out: adapter, expertOrder });
      expect(report).toMatchObject({ to: target, modules: expect.arrayContaining([expect.anything()]) });
      await expectSameMerge({ ...one, expertOrder: undefined }, adapter, join(folder, "merged"));
    });
  });
}

const REFUSED: Record<keyof typeof CARRIED, readonly (readonly [name: string, reason: string])[]> = {
  mlx: [
    ["peft/conv2d", "MLX has no place for adapted convolutions"],
    [
      "peft/embedding-dora",
      '"model.embed_tokens": MLX has no place for a DoRA magnitude for each output of embeddings',
    ],
    ["peft/lora-bias", "MLX has no place for the bias of lora_B"],
    ["peft/modules-to-save", 'MLX has no place for whole tensors: "lm_head.weight"'],
    ["peft/trainable-tokens", "MLX has no place for single rows of an embedding"],
    ["peft/pissa", "the initialisation pissa changed the base weights"],
    ["peft/tied-embedding-lora", "MLX adapts together, and the adapter was trained on the input"],
    ["peft/embedding-base-layer-differs", "has a weight for it that is not the base's"],
    ["peft/mixtral-swapped", "may have inputs and outputs swapped"],
    ["peft/gpt-oss-experts", "the experts of this base have their inputs first"],
    ["peft/multihead-attention", 'MLX adapts layers, not the parameter "in_proj_weight"'],
    ["peft/loha", "MLX has no place for LoHa"],
  ],
  gguf: [
    ["peft/llama-dora", "GGUF has no place for a DoRA magnitude"],
    ["peft/gpt-neox-head", "expected a base of type llama, mistral"],
    ["peft/tied-lm-head-lora", "lm_head"],
    ["peft/llava-older-names", '"multi_modal_projector.linear_1": has no such layer'],
  ],
  "onnx-adapter": [
    ["peft/llama-dora", "has no place for a DoRA magnitude"],
    ["peft/embedding-no-base-layer", "has no place for adapted embeddings"],
    ["kohya/lora", "is for language models"],
  ],
};

for (const [target, refusals] of Object.entries(REFUSED)) {
  describe.each(refusals)(`%s as ${target}`, (name, reason) => {
    test(`is refused: ${reason}`, async () => {
      const folder = temporaryFolder();
      const { base, adapter: input } = caseOf(name);
      const options = { input, base, to: target as keyof typeof CARRIED, out: join(folder, "out") };
      const error = await errorOfBuilt(() => convert(options));
      expect(error.message).toContain(reason);
      expect(error.code).toBe("UNSUPPORTED_ADAPTER");
      expect(readdirSync(folder)).toEqual([]);
    });
  });
}

test.each([
  ["backbone.embeddings", undefined],
  ["model.positions", "the models of MLX have no embedding of this name"],
])("an embedding called %s as mlx: %s", async (name, reason) => {
  const folder = temporaryFolder();
  const factors = {
    [`base_model.model.${name}.lora_embedding_A`]: { shape: [2, 10] },
    [`base_model.model.${name}.lora_embedding_B`]: { shape: [8, 2] },
  };
  const base = writeBase(folder, { [`${name}.weight`]: { shape: [10, 8] } }, { tie_word_embeddings: false });
  const input = writeAdapter(folder, factors, { target_modules: [name] });
  const [out, merged] = [join(folder, "mlx"), join(folder, "merged")];
  const options = { input, base, to: "mlx", out } as const;
  if (reason !== undefined) {
    const error = await errorOfBuilt(() => convert(options));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ADAPTER", subject: name, problem: reason });
    return;
  }
  await convert(options);
  await merge({ base, adapters: [{ path: input }], out: merged, workers: 1 });
  expect(await verify({ base, adapters: [{ path: out }], merged, workers: 1 })).toMatchObject({ passed: true });
});
