/** What a config.json must say: both forms of it, defaults, and what is refused. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/core/json.ts";
import { parseJsonObject } from "../../src/core/json-parser.ts";
import { describeModel } from "../../src/models/describe-model.ts";
import type { ModelDescription } from "../../src/models/description.ts";
import { errorOf } from "../support/errors.ts";

const MODELS = join(import.meta.dirname, "../../fixtures/models");
const PATH = "model/config.json";

type Settings = Readonly<Record<string, unknown>>;

function parse(settings: Settings): JsonObject {
  return parseJsonObject(new TextEncoder().encode(JSON.stringify(settings)), { file: PATH });
}

/** The description of a fixture's config.json with some entries changed; `undefined` takes one out. */
function describeWith(fixture: string, changes: Settings = {}): ModelDescription {
  const settings = JSON.parse(readFileSync(join(MODELS, fixture, "config.json"), "utf8"));
  return describeModel(parse({ ...settings, ...changes }), PATH);
}

/** The same settings as transformers 4 wrote them. */
const OLD_FORM: readonly (readonly [fixture: string, changes: Settings])[] = [
  ["llama", { rope_parameters: undefined, rope_theta: 10000, rope_scaling: null }],
  ["llama-linear", { rope_parameters: undefined, rope_theta: 10000, rope_scaling: { type: "linear", factor: 3 } }],
  ["llama-dynamic", { rope_parameters: undefined, rope_scaling: { rope_type: "dynamic", factor: 3 } }],
  [
    "llama-yarn",
    { rope_parameters: undefined, rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 8 } },
  ],
  ["qwen2", { rope_parameters: undefined, layer_types: undefined, rope_theta: 10000 }],
  ["gemma2", { rope_parameters: undefined, layer_types: undefined }],
  ["gpt-neox", { rope_parameters: undefined, rotary_pct: 0.25, rotary_emb_base: 10000 }],
];

describe("config.json", () => {
  it.each(OLD_FORM)("of %s says the same in the form of transformers 4", (fixture, changes) => {
    expect(describeWith(fixture, changes)).toEqual(describeWith(fixture));
  });

  it("may leave out what is the family's default", () => {
    const least = { model_type: "llama", hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1 };
    const model = describeModel(parse({ ...least, num_attention_heads: 2, vocab_size: 10 }), PATH);
    expect(model).toMatchObject({ maxPositions: 2048, isTied: false, blocks: [{ attention: { keyHeads: 2 } }] });
    expect(model.blocks[0]?.attention.rope).toEqual({ theta: 10000, size: 8, scaling: { kind: "default" } });
    const text = { ...least, num_attention_heads: undefined, model_type: "gemma3_text" };
    expect(describeModel(parse(text), PATH)).toMatchObject({
      vocabulary: 262_208,
      isTied: true,
      blocks: [{ attention: { heads: 8, keyHeads: 4, headSize: 256, window: 4096 } }],
    });
  });

  it("has the family's own epsilon", () => {
    const epsilon = (fixture: string) => describeWith(fixture, { rms_norm_eps: undefined }).norm.epsilon;
    expect([epsilon("llama"), epsilon("phi3"), epsilon("gemma2")]).toEqual([1e-6, 1e-5, 1e-6]);
  });

  it("switches a default off with null", () => {
    const window = (changes: Settings) => describeWith("mistral", changes).blocks[0]?.attention.window;
    expect(window({ sliding_window: undefined })).toBe(4096);
    expect(window({ sliding_window: null })).toBeUndefined();
    expect(describeWith("gemma2", { attn_logit_softcapping: null, final_logit_softcapping: null })).toMatchObject({
      softcap: undefined,
      blocks: [{ attention: { softcap: undefined } }, {}, {}],
    });
  });

  it("decides by layer which rows are in a window", () => {
    const windows = (fixture: string, changes: Settings = {}) =>
      describeWith(fixture, changes).blocks.map(({ attention }) => attention.window);
    expect(windows("gemma2")).toEqual([3, undefined, 3]);
    expect(windows("qwen2")).toEqual([undefined, 4]);
    expect(windows("qwen2", { use_sliding_window: false, layer_types: undefined })).toEqual([undefined, undefined]);
    expect(windows("qwen3", { use_sliding_window: true, sliding_window: 2, layer_types: undefined })).toEqual([
      undefined,
      undefined,
    ]);
    expect(windows("gemma3", { layer_types: undefined, sliding_window_pattern: 2 })).toEqual([3, undefined, 3]);
  });
});

const UNSUPPORTED: readonly (readonly [what: string, fixture: string, changes: Settings, subject: string])[] = [
  ["another model type", "llama", { model_type: "t5" }, "model_type"],
  ["another activation", "llama", { hidden_act: "xielu" }, "hidden_act"],
  ["another rotation", "llama", { rope_parameters: { rope_type: "proportional" } }, "rope_parameters.rope_type"],
  ["another rotation, the old way", "llama", { rope_scaling: { type: "mrope" } }, "rope_scaling.type"],
  ["rotation of a part of each head", "llama", { partial_rotary_factor: 0.5 }, "partial_rotary_factor"],
  ["less than a pair of rotated elements", "gpt-neox", { rotary_pct: 0.1, rope_parameters: null }, "rotary_pct"],
  [
    "more rotated elements than a head has",
    "gpt-neox",
    { rope_parameters: { partial_rotary_factor: 1.2 } },
    "rotary_pct",
  ],
  ["rotation of a head of odd size", "llama", { head_dim: 5 }, "head_dim"],
  ["another kind of layer", "qwen3", { layer_types: ["full_attention", "linear_attention"] }, "layer_types"],
  ["attention to later tokens", "gemma3", { use_bidirectional_attention: true }, "use_bidirectional_attention"],
  ["attention to another model", "gpt2", { add_cross_attention: true }, "add_cross_attention"],
  ["a hundred thousand layers", "llama", { num_hidden_layers: 100_000 }, "num_hidden_layers"],
];

const INVALID: readonly (readonly [what: string, fixture: string, changes: Settings, subject: string])[] = [
  ["a size that is text", "llama", { hidden_size: "16" }, "hidden_size"],
  ["a size that is missing", "llama", { intermediate_size: undefined }, "intermediate_size"],
  ["a size of zero", "llama", { vocab_size: 0 }, "vocab_size"],
  ["a size with a fraction", "gpt2", { n_embd: 16.5 }, "n_embd"],
  ["heads that do not share the width", "llama", { num_attention_heads: 6, head_dim: null }, "num_attention_heads"],
  ["heads that do not share the width", "gpt2", { n_head: 3 }, "n_head"],
  ["keys that do not share the heads", "llama", { num_key_value_heads: 3 }, "num_key_value_heads"],
  ["a norm without epsilon above 0", "llama", { rms_norm_eps: 0 }, "rms_norm_eps"],
  ["a flag that is a number", "llama", { tie_word_embeddings: 1 }, "tie_word_embeddings"],
  ["a list of types that is too short", "qwen3", { layer_types: ["full_attention"] }, "layer_types"],
  ["windows without a size", "gemma2", { sliding_window: null }, "sliding_window"],
  ["rotation that is a list", "llama", { rope_parameters: [] }, "rope_parameters"],
  ["rotation without a factor", "llama", { rope_parameters: { rope_type: "linear" } }, "rope_parameters.factor"],
  ["divisors for other heads", "phi3", { head_dim: 16 }, "rope_parameters.short_factor"],
  ["a model of images without its text part", "gemma3-images", { text_config: null }, "text_config"],
];

describe("a config.json that cannot be used", () => {
  it.each(UNSUPPORTED)("is refused for %s (%s %j)", async (_, fixture, changes, subject) => {
    const error = await errorOf(() => describeWith(fixture, changes));
    expect(error).toMatchObject({ code: "UNSUPPORTED_MODEL", file: PATH, subject });
    expect(error.message).toMatch(/expected .*, got /);
  });

  it.each(INVALID)("is invalid with %s (%s %j)", async (_, fixture, changes, subject) => {
    const error = await errorOf(() => describeWith(fixture, changes));
    expect(error).toMatchObject({ code: "INVALID_CONFIG", file: PATH, subject });
    expect(error.message).toMatch(/expected .*, got /);
  });

  it("names the model types that there are", async () => {
    const { message } = await errorOf(() => describeModel(parse({ model_type: "t5" }), PATH));
    const types = readdirSync(MODELS).filter((name) => name !== "stories260K");
    for (const fixture of types) expect(message).toContain(describeWith(fixture).type);
  });

  it.each([
    ["quantization_config", { quant_method: "gptq" }],
    ["quantization", { group_size: 64, bits: 4 }],
  ])("is refused for weights that %s says are quantised, whatever the family", async (key, settings) => {
    const error = await errorOf(() => describeWith("llama", { [key]: settings }));
    expect(error).toMatchObject({ code: "QUANTIZED_BASE", file: PATH, subject: key });
  });

  it("is described without memory for the sizes that it claims", async () => {
    const model = describeWith("llama", { hidden_size: 2 ** 50, head_dim: 2 ** 40, vocab_size: 2 ** 50 });
    expect(model.width).toBe(2 ** 50);
  });
});
