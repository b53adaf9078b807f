/**
 * Gemma 2: norms of x · (1 + w) on both sides of attention and feed-forward part, scaled embeddings, soft caps, a window on
 * every second layer. Gemma 3: norms of each head instead of caps, a window on five layers of six, with a θ of their own.
 */

import type { ConfigReader } from "../config-reader.ts";
import type { ModelDescription } from "../description.ts";
import { readRope, readRopeParameters } from "../rope-config.ts";
import { ACTIVATIONS } from "./activations.ts";
import { type DecoderOptions, type DecoderSizes, describeDecoder, PLAIN_DECODER, readSizes } from "./decoder.ts";
import { type LayerType, readLayerTypes, windowsOf } from "./windows.ts";

/** Files keep only what differs from these. */
const DEFAULTS = { heads: 8, keyHeads: 4, headSize: 256, width: 2_304, inner: 9_216, blocks: 26 } as const;

export function describeGemma2(config: ConfigReader): ModelDescription {
  const sizes = readSizes(config, { ...DEFAULTS, vocabulary: 256_000, maxPositions: 8_192 });
  const rope = readRope(config, { ...sizes, defaultTheta: 10_000 });
  const types = readLayerTypes(config, sizes.blocks, (block) => block % 2 === 0);
  return describeGemma(config, sizes, types, {
    normsHeads: false,
    attentionSoftcap: config.optionalPositive("attn_logit_softcapping", 50),
    softcap: config.optionalPositive("final_logit_softcapping", 30),
    rope: () => rope,
  });
}

export function describeGemma3(config: ConfigReader): ModelDescription {
  return describeGemma3At(config, "model");
}

/** The text part of a model of text and images. */
export function describeGemma3Wrapper(config: ConfigReader): ModelDescription {
  const text = config.object("text_config");
  if (text === undefined) throw config.invalid("text_config", "expected an object");
  return {
    ...describeGemma3At(text, "model.language_model"),
    type: config.text("model_type"),
    isTied: config.flag("tie_word_embeddings", true),
    otherParts: ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."],
  };
}

function describeGemma3At(config: ConfigReader, path: string): ModelDescription {
  const sizes = readSizes(config, { ...DEFAULTS, vocabulary: 262_208, maxPositions: 131_072 });
  const period = config.count("sliding_window_pattern", 6);
  const types = readLayerTypes(config, sizes.blocks, (block) => (block + 1) % period !== 0);
  const nested = config.object("rope_parameters");
  const scaled = config.object("rope_scaling") ?? nested?.object("full_attention");
  const ropes = {
    full_attention: readRopeParameters(config, scaled, { ...sizes, defaultTheta: 1_000_000 }),
    sliding_attention: readRopeParameters(config, nested?.object("sliding_attention"), {
      ...sizes,
      defaultTheta: 10_000,
      thetaKey: "rope_local_base_freq",
    }),
  };
  return describeGemma(config, sizes, types, {
    path,
    normsHeads: true,
    // The class of transformers reads this one and does not use it.
    attentionSoftcap: undefined,
    softcap: config.optionalPositive("final_logit_softcapping"),
    rope: (block) => ropes[types[block] ?? "full_attention"],
  });
}

function describeGemma(
  config: ConfigReader,
  sizes: DecoderSizes,
  types: readonly LayerType[],
  switches: Pick<DecoderOptions, "normsHeads" | "attentionSoftcap" | "softcap" | "rope"> &
    Partial<Pick<DecoderOptions, "path">>,
): ModelDescription {
  if (config.has("use_bidirectional_attention") && config.flag("use_bidirectional_attention", false)) {
    throw config.unsupported("use_bidirectional_attention", "expected false, got true: tokens would see later ones");
  }
  const hasBias = config.flag("attention_bias", false);
  return describeDecoder(config, {
    ...PLAIN_DECODER,
    ...switches,
    sizes,
    norm: "rms-plus-one",
    activation: config.choice("hidden_activation", ACTIVATIONS, "gelu_pytorch_tanh"),
    biases: { queryKeyValue: hasBias, output: hasBias, mlp: false },
    normsResults: true,
    embeddingScale: Math.sqrt(sizes.width),
    scale: config.positive("query_pre_attn_scalar", 256) ** -0.5,
    isTied: config.flag("tie_word_embeddings", true),
    window: windowsOf(config, types, config.optionalCount("sliding_window", 4_096)),
  });
}
