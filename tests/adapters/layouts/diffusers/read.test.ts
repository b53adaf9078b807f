import { describe, expect, test } from "vitest";
import { readDiffusersKey } from "../../../../src/adapters/layouts/diffusers/keys.ts";
import { diffusersReader } from "../../../../src/adapters/layouts/diffusers/read.ts";
import { errorOf } from "../../../support/errors.ts";
import { adapterFiles, type Entry } from "../build.ts";

const M = "unet.mid_block.attn1.to_q";
const LORA: readonly Entry[] = [
  [`${M}.lora_A.weight`, [2, 8]],
  [`${M}.lora_B.weight`, [4, 2]],
];

describe("the name", () => {
  test.each([
    ["unet.a.lora_A.weight", "unet.a", "lora_down.weight"],
    ["unet.a.lora_B.default.weight", "unet.a", "lora_up.weight"],
    ["text_encoder.a.lora_linear_layer.up.weight", "text_encoder.a", "lora_up.weight"],
    ["a.attn1.processor.to_k_lora.down.weight", "a.attn1.to_k", "lora_down.weight"],
    ["a.attn1.processor.to_out_lora.up.weight", "a.attn1.to_out.0", "lora_up.weight"],
    ["diffusion_model.a.alpha", "diffusion_model.a", "alpha"],
    ["diffusion_model.a.diff_b", "diffusion_model.a", "diff_b"],
    ["text_encoder.a.self_attn.to_out_lora.down.weight", "text_encoder.a.self_attn.out_proj", "lora_down.weight"],
    ["base_model.model.double_blocks.0.img_attn.qkv.lora_A.weight", "double_blocks.0.img_attn.qkv", "lora_down.weight"],
    ["pipe.dit.blocks.0.self_attn.q.lora_B.default.weight", "blocks.0.self_attn.q", "lora_up.weight"],
  ])("%s is read", (name, module, factor) => {
    expect(readDiffusersKey(name)).toEqual({ module, factor });
  });

  test.each(["unet.a.weight", "lora_A.weight", "", ".alpha"])("%j is not", (name) => {
    expect(readDiffusersKey(name)).toBeUndefined();
  });
});

describe("is told by", () => {
  test.each<[what: string, name: string, expected: boolean]>([
    ["a part of a pipeline", "transformer.transformer_blocks.0.attn.to_q.lora_A.weight", true],
    ["the names of ComfyUI", "diffusion_model.blocks.0.q.lora_down.weight", true],
    ["old names without a part", "mid_block.attn1.processor.to_q_lora.down.weight", true],
    ["names of one denoiser", "transformer_blocks.0.attn.to_q.lora_down.weight", true],
    ["names of one denoiser in PEFT's wrapper", "base_model.model.single_blocks.0.linear1.lora_A.weight", true],
    ["the processors of XLabs", "double_blocks.0.processor.proj_lora1.up.weight", true],
    ["not by an encoder of PEFT", "text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight", false],
    ["not by a ViT of PEFT", "blocks.0.attn.qkv.lora_A.weight", false],
    ["not by a GPT-2 of PEFT", "transformer.h.0.attn.c_attn.lora_A.weight", false],
    ["not by PEFT's prefix", "base_model.model.unet.a.lora_A.weight", false],
    ["not by a Llama of PEFT", "model.layers.0.self_attn.q_proj.lora_A.weight", false],
  ])("%s", (_, name, expected) => {
    expect(diffusersReader.detect(adapterFiles([[name, [1, 1]]]))).toBe(expected);
    expect(diffusersReader.detect(adapterFiles([[name, [1, 1]]], { settings: '{"peft_type":"LORA"}' }))).toBe(false);
  });
});

describe("refuses", () => {
  const settings = (values: object) => ({
    lora_adapter_metadata: JSON.stringify(Object.fromEntries(Object.entries(values).map(([k, v]) => [`unet.${k}`, v]))),
  });
  const plain = { r: 2, lora_alpha: 2 };
  test.each<[what: string, entries: readonly Entry[], metadata: Record<string, string>, code: string, message: RegExp]>(
    [
      ["one factor alone", LORA.slice(0, 1), {}, "ADAPTER_INCOMPLETE", /lora_up/],
      [
        "two names for one factor",
        [...LORA, [`${M}.lora_down.weight`, [2, 8]]],
        {},
        "ADAPTER_MISMATCH",
        /means the same/,
      ],
      ["an unknown name", [...LORA, ["unet.conv_in.weight", [4]]], {}, "ADAPTER_MISMATCH", /conv_in/],
      [
        "joined projections of XLabs whose rows do not divide",
        [["single_blocks.0.processor.qkv_lora.up.weight", [8, 2]]],
        {},
        "ADAPTER_MISMATCH",
        /no tensor of an algorithm/,
      ],
      ["another rank than that of the settings", LORA, settings({ r: 4, lora_alpha: 2 }), "RANK_MISMATCH", /rank 4/],
      ["settings that are no JSON", LORA, { lora_adapter_metadata: "{" }, "INVALID_JSON", /JSON/],
      [
        "settings that name a rank twice",
        LORA,
        { lora_adapter_metadata: '{"unet.r":1,"unet.r":2}' },
        "DUPLICATE_KEY",
        /unet\.r/,
      ],
      ["settings without an alpha", LORA, settings({ r: 2 }), "INVALID_CONFIG", /lora_alpha/],
      [
        "settings that change what LoRA computes",
        LORA,
        settings({ ...plain, use_magic: true }),
        "UNSUPPORTED_ADAPTER",
        /use_magic/,
      ],
      ["PiSSA", LORA, settings({ ...plain, init_lora_weights: "pissa" }), "UNSUPPORTED_ADAPTER", /pissa/],
      [
        "use_dora without magnitudes",
        LORA,
        settings({ ...plain, use_dora: true }),
        "ADAPTER_INCOMPLETE",
        /no magnitude/,
      ],
      [
        "magnitudes without use_dora",
        [...LORA, [`${M}.lora_magnitude_vector`, [4]]],
        settings(plain),
        "ADAPTER_INCOMPLETE",
        /a magnitude/,
      ],
      [
        "alpha tensors beside settings",
        [...LORA, [`${M}.alpha`, []]],
        settings(plain),
        "ADAPTER_MISMATCH",
        /without alphas/,
      ],
    ],
  )("%s", async (_, entries, metadata, code, message) => {
    const error = await errorOf(() => diffusersReader.read(adapterFiles(entries, { metadata })));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

test("names without a part are those of the denoiser that the others show", () => {
  const names = ["transformer_blocks.0.attn.to_q", "img_in", "text_encoders.clip_l.transformer.text_model.a"];
  const entries = names.flatMap((name): Entry[] => [
    [`${name}.lora_A.weight`, [2, 8]],
    [`${name}.lora_B.weight`, [4, 2]],
  ]);
  const { modules } = diffusersReader.read(adapterFiles(entries));
  const read = ["transformer.transformer_blocks.0.attn.to_q", "transformer.img_in", "text_encoder.text_model.a"];
  expect(modules.map(({ name }) => name)).toEqual(read);
});
