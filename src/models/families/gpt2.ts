/** GPT-2: learned positions, layer norms, weights stored as [in, out], one layer for queries, keys and values. */

import type { ConfigReader } from "../config-reader.ts";
import type { BlockDescription, ModelDescription } from "../description.ts";
import { ACTIVATIONS } from "./activations.ts";
import { readBlockCount } from "./decoder.ts";
import { describeLinear, normsOf } from "./layers.ts";

export function describeGpt2(config: ConfigReader): ModelDescription {
  if (config.flag("add_cross_attention", false)) {
    throw config.unsupported("add_cross_attention", "expected false, got true: the model would need an encoder");
  }
  const width = config.count("n_embd");
  const heads = config.count("n_head");
  if (width % heads !== 0) throw config.invalid("n_head", `expected a divisor of ${width}`);
  const headSize = width / heads;
  const inner = config.count("n_inner", 4 * width);
  const vocabulary = config.count("vocab_size");
  const maxPositions = config.count("n_positions");
  const activation = config.choice("activation_function", ACTIVATIONS, "gelu_new");
  const norm = normsOf("layer", config.positive("layer_norm_epsilon", 1e-5));
  const scale = config.flag("scale_attn_weights", true) ? headSize ** -0.5 : 1;
  const byDepth = config.flag("scale_attn_by_inverse_layer_idx", false);
  const layer = (module: string, inputs: number, outputs: number) =>
    describeLinear(module, inputs, outputs, true, "conv1d");

  const block = (index: number): BlockDescription => {
    const path = `transformer.h.${index}`;
    return {
      attentionNorm: norm(`${path}.ln_1`, width),
      attention: {
        heads,
        keyHeads: heads,
        headSize,
        scale: byDepth ? scale / (index + 1) : scale,
        projection: { kind: "fused", all: layer(`${path}.attn.c_attn`, width, 3 * width), order: "parts" },
        output: layer(`${path}.attn.c_proj`, width, width),
        queryNorm: undefined,
        keyNorm: undefined,
        rope: undefined,
        window: undefined,
        softcap: undefined,
      },
      attentionPostNorm: undefined,
      mlpNorm: norm(`${path}.ln_2`, width),
      mlp: {
        activation,
        layers: {
          kind: "plain",
          up: layer(`${path}.mlp.c_fc`, width, inner),
          down: layer(`${path}.mlp.c_proj`, inner, width),
        },
      },
      mlpPostNorm: undefined,
      residual: "sequential",
    };
  };
  const table = (module: string, rows: number) => ({ module, weight: `${module}.weight`, rows, width, scale: 1 });
  return {
    type: config.text("model_type"),
    path: config.path,
    vocabulary,
    width,
    embedding: table("transformer.wte", vocabulary),
    positions: table("transformer.wpe", maxPositions),
    blocks: Array.from({ length: readBlockCount(config, "n_layer") }, (_, index) => block(index)),
    norm: norm("transformer.ln_f", width),
    head: describeLinear("lm_head", width, vocabulary, false),
    isTied: config.flag("tie_word_embeddings", true),
    softcap: undefined,
    maxPositions,
    otherParts: [],
  };
}
