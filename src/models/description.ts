/**
 * What a decoder-only language model computes, as data: one block with switches, for every family.
 *
 * Made from config.json by `describeModel`, checked against the weights by `bindWeights`, turned into a graph by
 * `buildModel`. Names are those of transformers 5.23: `module` at run time, `weight` and `bias` in its checkpoints.
 */

/** `rms`: x / √(mean x² + ε) · w. `rms-plus-one`: the same · (1 + w). `layer`: (x − mean) / √(variance + ε) · w + b. */
export type NormKind = "rms" | "rms-plus-one" | "layer";

export interface NormDescription {
  readonly kind: NormKind;
  readonly weight: string;
  readonly bias: string | undefined;
  readonly size: number;
  readonly epsilon: number;
}

/** `linear` keeps its weight as [out, in], `conv1d` (GPT-2) as [in, out]. */
export type LinearKind = "linear" | "conv1d";

export interface LinearDescription {
  readonly module: string;
  readonly kind: LinearKind;
  readonly weight: string;
  readonly bias: string | undefined;
  readonly inputs: number;
  readonly outputs: number;
}

export interface EmbeddingDescription {
  readonly module: string;
  readonly weight: string;
  readonly rows: number;
  readonly width: number;
  /** What the rows are multiplied by. */
  readonly scale: number;
}

/** `gelu`: with erf. `gelu-tanh`: its approximation by tanh. */
export type ActivationKind = "silu" | "gelu" | "gelu-tanh" | "relu";

/** How rotation frequencies are changed for longer contexts: `rope_type` of transformers' `modeling_rope_utils.py`. */
export type RopeScaling =
  | { readonly kind: "default" }
  | { readonly kind: "linear"; readonly factor: number }
  /** Grows θ with the largest position, once that is beyond `maxPositions`. */
  | { readonly kind: "dynamic"; readonly factor: number; readonly maxPositions: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalPositions: number;
    }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalPositions: number;
      readonly truncates: boolean;
      /** Multiplies cos and sin. */
      readonly attentionFactor: number;
    }
  /** One divisor for each frequency; the long ones where the largest position is at least `originalPositions`. */
  | {
      readonly kind: "longrope";
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalPositions: number;
      /** Multiplies cos and sin. */
      readonly attentionFactor: number;
    };

/**
 * Rotary position embedding: of the first elements of a head, pairs (i, i + ⌈size/2⌉) turn by position · θ^(−2i/size). An
 * odd size, such as a quarter of a head of 4, rotates one element more.
 */
export interface RopeDescription {
  readonly theta: number;
  readonly size: number;
  readonly scaling: RopeScaling;
}

export type ProjectionDescription =
  | {
      readonly kind: "separate";
      readonly query: LinearDescription;
      readonly key: LinearDescription;
      readonly value: LinearDescription;
    }
  /** One layer for all three. `parts`: all queries, all keys, all values. `heads`: query, key, value of head after head. */
  | { readonly kind: "fused"; readonly all: LinearDescription; readonly order: "parts" | "heads" };

export interface AttentionDescription {
  readonly heads: number;
  /** Keys and values are shared by `heads / keyHeads` queries each. */
  readonly keyHeads: number;
  readonly headSize: number;
  /** Multiplies the scores. */
  readonly scale: number;
  readonly projection: ProjectionDescription;
  readonly output: LinearDescription;
  /** Over the elements of each head, before the rotation. */
  readonly queryNorm: NormDescription | undefined;
  readonly keyNorm: NormDescription | undefined;
  readonly rope: RopeDescription | undefined;
  /** A token sees itself and the `window` − 1 tokens before it; all of them without a window. */
  readonly window: number | undefined;
  /** Scores become softcap · tanh(score / softcap). */
  readonly softcap: number | undefined;
}

export interface MlpDescription {
  readonly activation: ActivationKind;
  /** `gated`: down(activation(gate x) ⊙ up x). `fused`: gate and up are the halves of one layer. `plain`: without a gate. */
  readonly layers:
    | {
        readonly kind: "gated";
        readonly gate: LinearDescription;
        readonly up: LinearDescription;
        readonly down: LinearDescription;
      }
    | { readonly kind: "fused"; readonly gateUp: LinearDescription; readonly down: LinearDescription }
    | { readonly kind: "plain"; readonly up: LinearDescription; readonly down: LinearDescription };
}

export interface BlockDescription {
  readonly attentionNorm: NormDescription;
  readonly attention: AttentionDescription;
  /** Of the attention's result, before it is added. */
  readonly attentionPostNorm: NormDescription | undefined;
  readonly mlpNorm: NormDescription;
  readonly mlp: MlpDescription;
  readonly mlpPostNorm: NormDescription | undefined;
  /** `sequential`: the feed-forward part sees the attention's result. `parallel`: both see the same x. */
  readonly residual: "sequential" | "parallel";
}

export interface ModelDescription {
  /** `model_type` of config.json. */
  readonly type: string;
  /** The configuration that it was made from, for messages. */
  readonly path: string;
  readonly vocabulary: number;
  readonly width: number;
  readonly embedding: EmbeddingDescription;
  /** Learned positions, which are added to the embedding. */
  readonly positions: EmbeddingDescription | undefined;
  readonly blocks: readonly BlockDescription[];
  readonly norm: NormDescription;
  readonly head: LinearDescription;
  /** Whether the head may be the embedding's table. */
  readonly isTied: boolean;
  /** Logits become softcap · tanh(logit / softcap). */
  readonly softcap: number | undefined;
  /** Longest sequence that the model is meant for. */
  readonly maxPositions: number;
  /** Starts of the names of tensors that belong to other parts, such as an image encoder. */
  readonly otherParts: readonly string[];
}
