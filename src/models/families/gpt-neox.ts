/** GPT-NeoX and Pythia: parallel residuals, a rotated share of each head, query, key and value of a head side by side. */

import type { ConfigReader } from "../config-reader.ts";
import type { BlockDescription, ModelDescription } from "../description.ts";
import { readRope } from "../rope-config.ts";
import { ACTIVATIONS } from "./activations.ts";
import { readSizes } from "./decoder.ts";
import { describeLinear, normsOf } from "./layers.ts";

export function describeGptNeox(config: ConfigReader): ModelDescription {
  const { width, inner, heads, headSize, vocabulary, maxPositions, blocks } = readSizes(config, {
    maxPositions: 2_048,
  });
  const rope = readRope(config, {
    headSize,
    maxPositions,
    defaultTheta: 10_000,
    thetaKey: "rotary_emb_base",
    partial: { key: "rotary_pct", otherwise: 0.25 },
  });
  const activation = config.choice("hidden_act", ACTIVATIONS, "gelu");
  const hasBias = config.flag("attention_bias", true);
  const norm = normsOf("layer", config.positive("layer_norm_eps", 1e-5));
  const residual = config.flag("use_parallel_residual", true) ? "parallel" : "sequential";

  const block = (index: number): BlockDescription => {
    const path = `gpt_neox.layers.${index}`;
    const all = describeLinear(`${path}.attention.query_key_value`, width, 3 * width, hasBias);
    return {
      attentionNorm: norm(`${path}.input_layernorm`, width),
      attention: {
        heads,
        keyHeads: heads,
        headSize,
        scale: headSize ** -0.5,
        projection: { kind: "fused", all, order: "heads" },
        output: describeLinear(`${path}.attention.dense`, width, width, hasBias),
        queryNorm: undefined,
        keyNorm: undefined,
        rope,
        window: undefined,
        softcap: undefined,
      },
      attentionPostNorm: undefined,
      mlpNorm: norm(`${path}.post_attention_layernorm`, width),
      mlp: {
        activation,
        layers: {
          kind: "plain",
          up: describeLinear(`${path}.mlp.dense_h_to_4h`, width, inner, true),
          down: describeLinear(`${path}.mlp.dense_4h_to_h`, inner, width, true),
        },
      },
      mlpPostNorm: undefined,
      residual,
    };
  };
  const embedding = "gpt_neox.embed_in";
  return {
    type: config.text("model_type"),
    path: config.path,
    vocabulary,
    width,
    embedding: { module: embedding, weight: `${embedding}.weight`, rows: vocabulary, width, scale: 1 },
    positions: undefined,
    blocks: Array.from({ length: blocks }, (_, index) => block(index)),
    norm: norm("gpt_neox.final_layer_norm", width),
    // The checkpoints keep the name that the head had before transformers 5.
    head: { ...describeLinear("lm_head", width, vocabulary, false), weight: "embed_out.weight" },
    isTied: config.flag("tie_word_embeddings", false),
    softcap: undefined,
    maxPositions,
    otherParts: [],
  };
}
