/** Phi-3, 3.5 and 4 (mini and medium): Llama with fused projections, a rotated share of each head, and longrope. */

import type { ConfigReader } from "../config-reader.ts";
import type { ModelDescription } from "../description.ts";
import { readRope } from "../rope-config.ts";
import { ACTIVATIONS } from "./activations.ts";
import { describeDecoder, PLAIN_DECODER, readSizes } from "./decoder.ts";

export function describePhi3(config: ConfigReader): ModelDescription {
  const sizes = readSizes(config, { maxPositions: 4_096 });
  const rope = readRope(config, {
    ...sizes,
    defaultTheta: 10_000,
    partial: { key: "partial_rotary_factor", otherwise: 1 },
    originalPositions: 4_096,
    yarnIsLongrope: true,
  });
  const window = config.optionalCount("sliding_window");
  return describeDecoder(config, {
    ...PLAIN_DECODER,
    sizes,
    epsilon: 1e-5,
    projection: "fused",
    activation: config.choice("hidden_act", ACTIVATIONS, "silu"),
    scale: sizes.headSize ** -0.5,
    isTied: config.flag("tie_word_embeddings", false),
    rope: () => rope,
    window: () => window,
  });
}
