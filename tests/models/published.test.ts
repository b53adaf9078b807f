/** Configurations as published with well-known models: the description needs exactly the parameters that they have. */

import { describe, expect, it } from "vitest";
import { parseJsonObject } from "../../src/core/json-parser.ts";
import { describeModel } from "../../src/models/describe-model.ts";
import type { ModelDescription } from "../../src/models/description.ts";
import { addLinear, expectedTensors } from "../../src/models/tensors.ts";

interface Published {
  readonly name: string;
  /** As on its card; a tied head counts once. */
  readonly parameters: number;
  readonly config: Readonly<Record<string, unknown>>;
}

const PHI4_FACTORS = Array.from({ length: 48 }, (_, index) => 1 + index);

const PUBLISHED: readonly Published[] = [
  {
    name: "Llama-3.2-1B",
    parameters: 1_235_814_400,
    config: {
      model_type: "llama",
      attention_bias: false,
      head_dim: 64,
      hidden_act: "silu",
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 131072,
      mlp_bias: false,
      num_attention_heads: 32,
      num_hidden_layers: 16,
      num_key_value_heads: 8,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        factor: 32,
        high_freq_factor: 4,
        low_freq_factor: 1,
        original_max_position_embeddings: 8192,
        rope_type: "llama3",
      },
      rope_theta: 500000,
      tie_word_embeddings: true,
      torch_dtype: "bfloat16",
      vocab_size: 128256,
    },
  },
  {
    name: "SmolLM-135M",
    parameters: 134_515_008,
    config: {
      model_type: "llama",
      hidden_act: "silu",
      hidden_size: 576,
      intermediate_size: 1536,
      max_position_embeddings: 2048,
      num_attention_heads: 9,
      num_hidden_layers: 30,
      num_key_value_heads: 3,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      rope_theta: 10000,
      tie_word_embeddings: true,
      vocab_size: 49152,
    },
  },
  {
    name: "Mistral-7B-v0.1",
    parameters: 7_241_732_096,
    config: {
      model_type: "mistral",
      hidden_act: "silu",
      hidden_size: 4096,
      intermediate_size: 14336,
      max_position_embeddings: 32768,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      sliding_window: 4096,
      tie_word_embeddings: false,
      vocab_size: 32000,
    },
  },
  {
    name: "Mistral-Nemo-Base-2407",
    parameters: 12_247_782_400,
    config: {
      model_type: "mistral",
      head_dim: 128,
      hidden_act: "silu",
      hidden_size: 5120,
      intermediate_size: 14336,
      max_position_embeddings: 131072,
      num_attention_heads: 32,
      num_hidden_layers: 40,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: false,
      vocab_size: 131072,
    },
  },
  {
    name: "Qwen2.5-0.5B",
    parameters: 494_032_768,
    config: {
      model_type: "qwen2",
      hidden_act: "silu",
      hidden_size: 896,
      intermediate_size: 4864,
      max_position_embeddings: 32768,
      max_window_layers: 24,
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-6,
      rope_theta: 1000000,
      sliding_window: 32768,
      tie_word_embeddings: true,
      use_mrope: false,
      use_sliding_window: false,
      vocab_size: 151936,
    },
  },
  {
    name: "Qwen3-0.6B",
    parameters: 596_049_920,
    config: {
      model_type: "qwen3",
      attention_bias: false,
      head_dim: 128,
      hidden_act: "silu",
      hidden_size: 1024,
      intermediate_size: 3072,
      max_position_embeddings: 40960,
      max_window_layers: 28,
      num_attention_heads: 16,
      num_hidden_layers: 28,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: true,
      use_sliding_window: false,
      vocab_size: 151936,
    },
  },
  {
    name: "gemma-2-2b",
    parameters: 2_614_341_888,
    config: {
      model_type: "gemma2",
      attention_bias: false,
      attn_logit_softcapping: 50,
      cache_implementation: "hybrid",
      final_logit_softcapping: 30,
      head_dim: 256,
      hidden_act: "gelu_pytorch_tanh",
      hidden_activation: "gelu_pytorch_tanh",
      hidden_size: 2304,
      intermediate_size: 9216,
      max_position_embeddings: 8192,
      num_attention_heads: 8,
      num_hidden_layers: 26,
      num_key_value_heads: 4,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      sliding_window: 4096,
      vocab_size: 256000,
    },
  },
  {
    name: "gemma-3-1b-pt",
    parameters: 999_885_952,
    config: {
      model_type: "gemma3_text",
      attention_bias: false,
      attn_logit_softcapping: null,
      final_logit_softcapping: null,
      head_dim: 256,
      hidden_activation: "gelu_pytorch_tanh",
      hidden_size: 1152,
      intermediate_size: 6912,
      max_position_embeddings: 32768,
      num_attention_heads: 4,
      num_hidden_layers: 26,
      num_key_value_heads: 1,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_local_base_freq: 10000,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: 512,
      sliding_window_pattern: 6,
      vocab_size: 262144,
    },
  },
  {
    // Its image encoder is left out here.
    name: "gemma-3-4b-pt",
    parameters: 3_880_263_168,
    config: {
      model_type: "gemma3",
      text_config: {
        hidden_size: 2560,
        intermediate_size: 10240,
        model_type: "gemma3_text",
        num_hidden_layers: 34,
        rope_scaling: { factor: 8, rope_type: "linear" },
        sliding_window: 1024,
      },
      vision_config: { hidden_size: 1152, model_type: "siglip_vision_model" },
    },
  },
  {
    name: "Phi-3-mini-4k-instruct",
    parameters: 3_821_079_552,
    config: {
      model_type: "phi3",
      hidden_act: "silu",
      hidden_size: 3072,
      intermediate_size: 8192,
      max_position_embeddings: 4096,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      original_max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      rope_theta: 10000,
      sliding_window: 2047,
      tie_word_embeddings: false,
      vocab_size: 32064,
    },
  },
  {
    name: "Phi-4-mini-instruct",
    parameters: 3_836_021_760,
    config: {
      model_type: "phi3",
      attention_bias: false,
      full_attn_mod: 1,
      hidden_act: "silu",
      hidden_size: 3072,
      intermediate_size: 8192,
      max_position_embeddings: 131072,
      mlp_bias: false,
      num_attention_heads: 24,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      original_max_position_embeddings: 4096,
      partial_rotary_factor: 0.75,
      rms_norm_eps: 1e-5,
      rope_scaling: { long_factor: PHI4_FACTORS, short_factor: PHI4_FACTORS, type: "longrope" },
      rope_theta: 10000,
      sliding_window: 262144,
      tie_word_embeddings: true,
      vocab_size: 200064,
    },
  },
  {
    name: "gpt2",
    parameters: 124_439_808,
    config: {
      model_type: "gpt2",
      activation_function: "gelu_new",
      layer_norm_epsilon: 1e-5,
      n_ctx: 1024,
      n_embd: 768,
      n_head: 12,
      n_layer: 12,
      n_positions: 1024,
      vocab_size: 50257,
    },
  },
  {
    name: "pythia-70m",
    parameters: 70_426_624,
    config: {
      model_type: "gpt_neox",
      hidden_act: "gelu",
      hidden_size: 512,
      intermediate_size: 2048,
      layer_norm_eps: 1e-5,
      max_position_embeddings: 2048,
      num_attention_heads: 8,
      num_hidden_layers: 6,
      rotary_emb_base: 10000,
      rotary_pct: 0.25,
      tie_word_embeddings: false,
      use_parallel_residual: true,
      vocab_size: 50304,
    },
  },
];

function countParameters(model: ModelDescription): number {
  const shapes = expectedTensors(model);
  if (!model.isTied) addLinear(shapes, model.head);
  return [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

function describePublished(name: string): ModelDescription {
  const config = PUBLISHED.find((one) => one.name === name)?.config;
  return describeModel(parseJsonObject(new TextEncoder().encode(JSON.stringify(config)), { file: name }), name);
}

describe("a published configuration", () => {
  it.each(PUBLISHED)("of $name needs its $parameters parameters", ({ name, parameters }) => {
    expect(countParameters(describePublished(name))).toBe(parameters);
  });

  it("of Phi-4-mini rotates three quarters of each head, as for long texts from its own length on", () => {
    expect(describePublished("Phi-4-mini-instruct").blocks[0]?.attention.rope).toMatchObject({
      size: 96,
      scaling: {
        kind: "longrope",
        originalPositions: 4096,
        attentionFactor: Math.sqrt(1 + Math.log(32) / Math.log(4096)),
      },
    });
  });

  it("of Gemma 3 turns slowly on every sixth layer, which alone sees everything", () => {
    const blocks = describePublished("gemma-3-4b-pt").blocks.map(({ attention }) => attention);
    const wide = blocks.flatMap(({ window }, index) => (window === undefined ? [index] : []));
    expect(wide).toEqual([5, 11, 17, 23, 29]);
    expect(blocks[5]?.rope).toMatchObject({ theta: 1e6, scaling: { kind: "linear", factor: 8 } });
    expect(blocks[6]).toMatchObject({ window: 1024, rope: { theta: 1e4, scaling: { kind: "default" } } });
  });
});
