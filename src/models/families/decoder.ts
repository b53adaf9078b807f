/**
 * The block that Llama brought and most families share, with their differences as options: names
 * `model.layers.N.self_attn.…` and `model.layers.N.mlp.…`, rotary positions, RMS norms, a gated feed-forward part.
 */

import { MAX_MODEL_LAYERS } from "../../core/limits.ts";
import type { ConfigReader } from "../config-reader.ts";
import type {
  ActivationKind,
  AttentionDescription,
  BlockDescription,
  MlpDescription,
  ModelDescription,
  NormKind,
  RopeDescription,
} from "../description.ts";
import { describeLinear, normsOf } from "./layers.ts";

/** Sizes that every config.json of these families has. */
export interface DecoderSizes {
  readonly width: number;
  readonly inner: number;
  readonly blocks: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  readonly maxPositions: number;
}

export interface DecoderOptions {
  /** Path of the module around embedding and blocks. */
  readonly path: string;
  readonly sizes: DecoderSizes;
  readonly norm: NormKind;
  /** Of the norms, where config.json does not say. */
  readonly epsilon: number;
  readonly activation: ActivationKind;
  readonly projection: "separate" | "fused";
  readonly biases: { readonly queryKeyValue: boolean; readonly output: boolean; readonly mlp: boolean };
  /** RMS norms of each head's queries and keys. */
  readonly normsHeads: boolean;
  /** Norms after attention and feed-forward part, too. */
  readonly normsResults: boolean;
  readonly embeddingScale: number;
  /** Multiplies the scores. */
  readonly scale: number;
  readonly attentionSoftcap: number | undefined;
  readonly softcap: number | undefined;
  readonly isTied: boolean;
  readonly rope: (block: number) => RopeDescription;
  readonly window: (block: number) => number | undefined;
}

/** What most families do. */
export const PLAIN_DECODER = {
  path: "model",
  norm: "rms",
  epsilon: 1e-6,
  projection: "separate",
  biases: { queryKeyValue: false, output: false, mlp: false },
  normsHeads: false,
  normsResults: false,
  embeddingScale: 1,
  attentionSoftcap: undefined,
  softcap: undefined,
} as const;

/** Sizes that a family does not write where they are its own; a head has `width / heads` elements by default. */
export type DefaultSizes = Partial<DecoderSizes> & Pick<DecoderSizes, "maxPositions">;

export function readSizes(config: ConfigReader, defaults: DefaultSizes): DecoderSizes {
  const width = config.count("hidden_size", defaults.width);
  const heads = config.count("num_attention_heads", defaults.heads);
  const keyHeads = config.count("num_key_value_heads", defaults.keyHeads ?? heads);
  if (heads % keyHeads !== 0) throw config.invalid("num_key_value_heads", `expected a divisor of ${heads}`);
  let headSize = config.optionalCount("head_dim") ?? defaults.headSize;
  if (headSize === undefined) {
    if (width % heads !== 0) throw config.invalid("num_attention_heads", `expected a divisor of ${width}`);
    headSize = width / heads;
  }
  return {
    width,
    inner: config.count("intermediate_size", defaults.inner),
    blocks: readBlockCount(config, "num_hidden_layers", defaults.blocks),
    heads,
    keyHeads,
    headSize,
    vocabulary: config.count("vocab_size", defaults.vocabulary),
    maxPositions: config.count("max_position_embeddings", defaults.maxPositions),
  };
}

export function readBlockCount(config: ConfigReader, key: string, otherwise?: number): number {
  const count = config.count(key, otherwise);
  if (count <= MAX_MODEL_LAYERS) return count;
  throw config.unsupported(key, `expected at most ${MAX_MODEL_LAYERS} layers, got ${count}`);
}

export function describeDecoder(config: ConfigReader, options: DecoderOptions): ModelDescription {
  const { sizes, isTied, softcap, embeddingScale } = options;
  const norm = normsOf(options.norm, config.positive("rms_norm_eps", options.epsilon));
  const { width, vocabulary, maxPositions } = sizes;
  const embedding = `${options.path}.embed_tokens`;
  return {
    type: config.text("model_type", ""),
    path: config.path,
    vocabulary,
    width,
    embedding: { module: embedding, weight: `${embedding}.weight`, rows: vocabulary, width, scale: embeddingScale },
    positions: undefined,
    blocks: Array.from({ length: sizes.blocks }, (_, index) => describeBlock(index, options, norm)),
    norm: norm(`${options.path}.norm`, width),
    head: describeLinear("lm_head", width, vocabulary, false),
    isTied,
    softcap,
    maxPositions,
    otherParts: [],
  };
}

type DescribeNorm = ReturnType<typeof normsOf>;

function describeBlock(index: number, options: DecoderOptions, norm: DescribeNorm): BlockDescription {
  const { sizes, normsResults } = options;
  const path = `${options.path}.layers.${index}`;
  return {
    attentionNorm: norm(`${path}.input_layernorm`, sizes.width),
    attention: describeAttention(index, `${path}.self_attn`, options, norm),
    attentionPostNorm: normsResults ? norm(`${path}.post_attention_layernorm`, sizes.width) : undefined,
    mlpNorm: norm(`${path}.${normsResults ? "pre_feedforward" : "post_attention"}_layernorm`, sizes.width),
    mlp: describeMlp(`${path}.mlp`, options),
    mlpPostNorm: normsResults ? norm(`${path}.post_feedforward_layernorm`, sizes.width) : undefined,
    residual: "sequential",
  };
}

function describeAttention(
  index: number,
  path: string,
  options: DecoderOptions,
  norm: DescribeNorm,
): AttentionDescription {
  const { biases, normsHeads, projection } = options;
  const { width, heads, keyHeads, headSize } = options.sizes;
  const project = (name: string, count: number) =>
    describeLinear(`${path}.${name}`, width, count * headSize, biases.queryKeyValue);
  return {
    heads,
    keyHeads,
    headSize,
    scale: options.scale,
    projection:
      projection === "fused"
        ? { kind: "fused", all: project("qkv_proj", heads + 2 * keyHeads), order: "parts" }
        : {
            kind: "separate",
            query: project("q_proj", heads),
            key: project("k_proj", keyHeads),
            value: project("v_proj", keyHeads),
          },
    output: describeLinear(`${path}.o_proj`, heads * headSize, width, biases.output),
    queryNorm: normsHeads ? norm(`${path}.q_norm`, headSize) : undefined,
    keyNorm: normsHeads ? norm(`${path}.k_norm`, headSize) : undefined,
    rope: options.rope(index),
    window: options.window(index),
    softcap: options.attentionSoftcap,
  };
}

function describeMlp(path: string, options: DecoderOptions): MlpDescription {
  const { width, inner } = options.sizes;
  const bias = options.biases.mlp;
  const down = describeLinear(`${path}.down_proj`, inner, width, bias);
  const { activation } = options;
  if (options.projection === "fused") {
    return {
      activation,
      layers: { kind: "fused", gateUp: describeLinear(`${path}.gate_up_proj`, width, 2 * inner, bias), down },
    };
  }
  const gate = describeLinear(`${path}.gate_proj`, width, inner, bias);
  return {
    activation,
    layers: { kind: "gated", gate, up: describeLinear(`${path}.up_proj`, width, inner, bias), down },
  };
}
