import { describe, expect, test } from "vitest";
import { ggufModule } from "../../../../src/adapters/layouts/gguf/names.ts";
import { ggufReader } from "../../../../src/adapters/layouts/gguf/read.ts";
import { errorOf } from "../../../support/errors.ts";
import { adapterFiles, type Entry } from "../build.ts";

const KEYS = {
  "general.type": "adapter",
  "adapter.type": "lora",
  "general.architecture": "llama",
  "adapter.lora.alpha": "4",
};
const Q = "blk.3.attn_q.weight";
const LORA: readonly Entry[] = [
  [`${Q}.lora_a`, [2, 8]],
  [`${Q}.lora_b`, [4, 2]],
];

function read(entries: readonly Entry[], metadata: Readonly<Record<string, string>> = KEYS) {
  return ggufReader.read(adapterFiles(entries, { metadata }));
}

describe("the name", () => {
  test.each([
    ["llama", "blk.12.ffn_down", "model.layers.12.mlp.down_proj"],
    ["qwen3", "blk.0.attn_output", "model.layers.0.self_attn.o_proj"],
    ["phi3", "blk.0.ffn_up", "model.layers.0.mlp.gate_up_proj"],
    ["gpt2", "blk.0.attn_qkv", "transformer.h.0.attn.c_attn"],
    ["gpt2", "token_embd", "transformer.wte"],
    ["llama", "output", "lm_head"],
  ])("of %s %s is %s", (architecture, tensor, name) => {
    expect(ggufModule(architecture, tensor)?.name).toBe(name);
  });

  test.each([
    ["llama", "blk.0.attn_qkv"],
    ["llama", "blk.0.constructor"],
    ["llama", "blk.x.attn_q"],
    ["llama", "toString"],
    ["mamba", "blk.0.attn_q"],
  ])("of %s %s is unknown", (architecture, tensor) => {
    expect(ggufModule(architecture, tensor)).toBeUndefined();
  });
});

describe("the scale", () => {
  test.each([
    ["alpha / rank", "4", 4, 2],
    ["1 for an alpha of 0", "0", 2, 1],
    ["1 without an alpha", undefined, 2, 1],
  ])("is %s", (_, text, alpha, scale) => {
    const { "adapter.lora.alpha": known, ...rest } = KEYS;
    const adapter = read(LORA, text === undefined ? rest : { ...rest, "adapter.lora.alpha": text });
    expect(known).toBe("4");
    expect(adapter.modules).toMatchObject([{ rank: 2, alpha, scale, interleavedHeads: "query" }]);
    expect(adapter.warnings).toHaveLength(scale === 1 ? 1 : 0);
  });
});

test("experts of Mixtral become one module for each, where their factors lie", () => {
  const { modules } = read([
    ["blk.1.ffn_up_exps.weight.lora_a", [3, 2, 8]],
    ["blk.1.ffn_up_exps.weight.lora_b", [3, 6, 2]],
  ]);
  const path = "model.layers.1.block_sparse_moe.experts";
  expect(modules.map(({ name }) => name)).toEqual([0, 1, 2].map((expert) => `${path}.${expert}.w3`));
  for (const { delta, scale } of modules) {
    expect(scale).toBe(2);
    expect(delta).toMatchObject({ down: { shape: [2, 8], byteLength: 64 }, up: { shape: [6, 2], byteLength: 48 } });
  }
});

test("experts whose numbers differ are refused", async () => {
  const entries: readonly Entry[] = [
    ["blk.1.ffn_up_exps.weight.lora_a", [3, 2, 8]],
    ["blk.1.ffn_up_exps.weight.lora_b", [2, 6, 2]],
  ];
  expect((await errorOf(() => read(entries))).code).toBe("ADAPTER_MISMATCH");
});

test("only queries and keys of Llama are reordered", () => {
  const sides = ["attn_q", "attn_k", "attn_v"].map((name) => ggufModule("llama", `blk.0.${name}`)?.interleavedHeads);
  expect(sides).toEqual(["query", "key", undefined]);
  expect(ggufModule("qwen2", "blk.0.attn_q")?.interleavedHeads).toBeUndefined();
});

describe("refuses", () => {
  test.each<
    [what: string, entries: readonly Entry[], metadata: Readonly<Record<string, string>>, code: string, message: RegExp]
  >([
    [
      "another type of adapter",
      LORA,
      { ...KEYS, "adapter.type": "control_vector" },
      "UNSUPPORTED_ADAPTER",
      /control_vector/,
    ],
    [
      "an architecture that is not read",
      LORA,
      { ...KEYS, "general.architecture": "mamba" },
      "UNSUPPORTED_ADAPTER",
      /mamba/,
    ],
    [
      "activated LoRA",
      LORA,
      { ...KEYS, "adapter.alora.invocation_tokens": "[1 numbers]" },
      "UNSUPPORTED_ADAPTER",
      /activated/,
    ],
    ["an alpha that is no number", LORA, { ...KEYS, "adapter.lora.alpha": "NaN" }, "INVALID_METADATA", /finite/],
    ["an alpha that is text", LORA, { ...KEYS, "adapter.lora.alpha": "many" }, "INVALID_METADATA", /finite/],
    ["one factor alone", LORA.slice(1), KEYS, "ADAPTER_INCOMPLETE", /lora_b/],
    [
      "ranks that differ",
      [
        [`${Q}.lora_a`, [3, 8]],
        [`${Q}.lora_b`, [4, 2]],
      ],
      KEYS,
      "ADAPTER_MISMATCH",
      /\[2, 8\]/,
    ],
    [
      "stacked experts",
      [
        ["blk.0.ffn_up.weight.lora_a", [3, 2, 8]],
        ["blk.0.ffn_up.weight.lora_b", [3, 4, 2]],
      ],
      KEYS,
      "ADAPTER_MISMATCH",
      /2 dimensions/,
    ],
    [
      "a tensor that the architecture lacks",
      [["blk.0.magic.weight.lora_a", [2, 8]]],
      KEYS,
      "ADAPTER_MISMATCH",
      /magic/,
    ],
    [
      "a norm, which llama.cpp ignores",
      [...LORA, ["blk.0.attn_norm.weight", [8]]],
      KEYS,
      "ADAPTER_MISMATCH",
      /attn_norm/,
    ],
    [
      "quantised factors",
      [
        [`${Q}.lora_a`, [2, 34], "u8"],
        [`${Q}.lora_b`, [4, 2]],
      ],
      KEYS,
      "UNSUPPORTED_DTYPE",
      /u8/,
    ],
    ["no tensors", [], KEYS, "INVALID_MODEL", /no tensors/],
  ])("%s", async (_, entries, metadata, code, message) => {
    const error = await errorOf(() => read(entries, metadata));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});
