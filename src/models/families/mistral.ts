/** Mistral: Llama with a window on all layers, where it has one, and a head size of its own. */

import type { ConfigReader } from "../config-reader.ts";
import type { ModelDescription } from "../description.ts";
import { readRope } from "../rope-config.ts";
import { ACTIVATIONS } from "./activations.ts";
import { describeDecoder, PLAIN_DECODER, readSizes } from "./decoder.ts";

export function describeMistral(config: ConfigReader): ModelDescription {
  const sizes = readSizes(config, { maxPositions: 131_072, keyHeads: 8 });
  const rope = readRope(config, { ...sizes, defaultTheta: 10_000 });
  const window = config.optionalCount("sliding_window", 4_096);
  return describeDecoder(config, {
    ...PLAIN_DECODER,
    sizes,
    activation: config.choice("hidden_act", ACTIVATIONS, "silu"),
    scale: sizes.headSize ** -0.5,
    isTied: config.flag("tie_word_embeddings", false),
    rope: () => rope,
    window: () => window,
  });
}
