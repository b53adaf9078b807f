/** Llama 1 to 3.3, and whatever says `model_type: llama`. */

import type { ConfigReader } from "../config-reader.ts";
import type { ModelDescription } from "../description.ts";
import { readRope } from "../rope-config.ts";
import { ACTIVATIONS } from "./activations.ts";
import { describeDecoder, PLAIN_DECODER, readSizes } from "./decoder.ts";

export function describeLlama(config: ConfigReader): ModelDescription {
  const sizes = readSizes(config, { maxPositions: 2_048 });
  const hasBias = config.flag("attention_bias", false);
  const rope = readRope(config, { ...sizes, defaultTheta: 10_000 });
  return describeDecoder(config, {
    ...PLAIN_DECODER,
    sizes,
    activation: config.choice("hidden_act", ACTIVATIONS, "silu"),
    biases: { queryKeyValue: hasBias, output: hasBias, mlp: config.flag("mlp_bias", false) },
    scale: sizes.headSize ** -0.5,
    isTied: config.flag("tie_word_embeddings", false),
    rope: () => rope,
    window: () => undefined,
  });
}
