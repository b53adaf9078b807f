/** Qwen2: Llama with biases on queries, keys and values. Qwen3: norms of each head instead. Both may have windows. */

import type { ConfigReader } from "../config-reader.ts";
import type { ModelDescription } from "../description.ts";
import { readRope } from "../rope-config.ts";
import { ACTIVATIONS } from "./activations.ts";
import { type DecoderOptions, type DefaultSizes, describeDecoder, PLAIN_DECODER, readSizes } from "./decoder.ts";
import { readLayerTypes, windowsOf } from "./windows.ts";

export function describeQwen2(config: ConfigReader): ModelDescription {
  return describeQwen(config, {}, { biases: { queryKeyValue: true, output: false, mlp: false }, normsHeads: false });
}

export function describeQwen3(config: ConfigReader): ModelDescription {
  const hasBias = config.flag("attention_bias", false);
  return describeQwen(
    config,
    { headSize: 128 },
    { biases: { queryKeyValue: hasBias, output: hasBias, mlp: false }, normsHeads: true },
  );
}

function describeQwen(
  config: ConfigReader,
  defaults: Partial<DefaultSizes>,
  switches: Pick<DecoderOptions, "biases" | "normsHeads">,
): ModelDescription {
  const sizes = readSizes(config, { maxPositions: 32_768, keyHeads: 32, ...defaults });
  const rope = readRope(config, { ...sizes, defaultTheta: 10_000 });
  const window = config.flag("use_sliding_window", false) ? config.optionalCount("sliding_window", 4_096) : undefined;
  const first = config.count("max_window_layers", 28);
  const types = readLayerTypes(config, sizes.blocks, (block) => window !== undefined && block >= first);
  return describeDecoder(config, {
    ...PLAIN_DECODER,
    ...switches,
    sizes,
    activation: config.choice("hidden_act", ACTIVATIONS, "silu"),
    scale: sizes.headSize ** -0.5,
    isTied: config.flag("tie_word_embeddings", false),
    rope: () => rope,
    window: windowsOf(config, types, window),
  });
}
