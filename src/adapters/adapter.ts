/**
 * What an adapter is, whatever layout it came in: modules with factors and one effective scale each, full tensors that
 * replace the base's, and rows that replace single rows of an embedding.
 *
 * Layouts (PEFT, kohya, …) read into this model; `resolve` turns it into edits of base tensors. Tensors stay on disk:
 * everything here is headers and plain data.
 */

import type { FileIdentity, TensorData } from "../formats/tensor-store.ts";

/** How the scale follows from alpha and rank: `lora` alpha/rank, `rslora` alpha/√rank (arXiv 2312.03732). */
export const CONVENTIONS = ["lora", "rslora"] as const;
export type Convention = (typeof CONVENTIONS)[number];

export const CONVENTION_NAMES: Readonly<Record<Convention, string>> = { lora: "LoRA", rslora: "rsLoRA" };
/** Scales, as people write them. */
export const SCALE_FORMULAS: Readonly<Record<Convention, string>> = { lora: "alpha / rank", rslora: "alpha / √rank" };

/** Naming schemes on disk, in the order in which a file is tried: the most particular first. */
export const LAYOUTS = ["gguf", "onnx-adapter", "mlx", "kohya", "diffusers", "peft"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** What the adapted layer is. A Hugging Face Conv1D is `linear`: its orientation is a fact of the base's architecture. */
export type LayerKind = "linear" | "embedding" | "conv" | "experts";

/** ΔW before scaling, as factors. Shapes are those of the tensors on disk. */
export type Delta =
  | LoraDelta
  /** (w1a · w1b) ∘ (w2a · w2b), wXa [out, rank], wXb [rank, in…]; with t1, t2 the Tucker form of convolutions. */
  | {
      readonly kind: "loha";
      readonly w1a: TensorData;
      readonly w1b: TensorData;
      readonly w2a: TensorData;
      readonly w2b: TensorData;
      readonly t1?: TensorData;
      readonly t2?: TensorData;
    }
  /** kron(w1, w2), each whole ([w]) or a product of two factors ([a, b]); t2 is the Tucker core of w2. */
  | {
      readonly kind: "lokr";
      readonly w1: readonly [TensorData] | readonly [TensorData, TensorData];
      readonly w2: readonly [TensorData] | readonly [TensorData, TensorData];
      readonly t2?: TensorData;
    }
  /**
   * W ∘ vector: along the inputs for feed-forward modules, along the outputs (and the bias) for the others. `aboutOne`:
   * W ∘ (1 + vector), LyCORIS' form, whose versions do not agree on the bias.
   */
  | { readonly kind: "ia3"; readonly vector: TensorData; readonly feedforward: boolean; readonly aboutOne?: true }
  /**
   * VeRA (arXiv 2310.11454): diag(outputs) · up[:out] · diag(ranks) · down[:, :in], projections [rank, ≥ in] and [≥ out, rank]
   * that all modules share.
   */
  | {
      readonly kind: "vera";
      readonly down: TensorData;
      readonly up: TensorData;
      /** [rank] */
      readonly ranks: TensorData;
      /** [out] */
      readonly outputs: TensorData;
    }
  /**
   * Rotations of the outputs in blocks (OFT): blocks [count, size, size] hold X of Q = X − Xᵀ, whose norm is at most
   * constraint · outputs; rescale [out] multiplies the rows then.
   */
  | { readonly kind: "oft"; readonly blocks: TensorData; readonly constraint: number; readonly rescale?: TensorData }
  /** The whole change, of the shape of the parameter. */
  | { readonly kind: "full"; readonly values: TensorData };

/** up · diag(diagonal) · down: down [rank, in, kernel …], up [out, rank, 1 …]. */
export interface LoraDelta {
  readonly kind: "lora";
  readonly down: TensorData;
  readonly up: TensorData;
  /** [rank], only for AdaLoRA. */
  readonly diagonal?: TensorData;
  /** Tucker core of a convolution [rank, rank, kernel …] between up [out, rank] and down [rank, in]. */
  readonly core?: TensorData;
  /** Factors stored the other way round: down [in, rank], up [rank, out]. */
  readonly transposed?: "both" | "down";
}

export interface AdapterModule {
  /** Module path as the training framework saw it, without `base_model.model.` and without suffix; unique with `parameter`. */
  readonly name: string;
  /** Name of the adapted parameter inside the module (PEFT `target_parameters`), e.g. `gate_up_proj`. */
  readonly parameter?: string;
  /** What the patterns of PEFT's settings match, where it is not `name`: `experts.gate_up_proj`, the attention around `out_proj`. */
  readonly settingsName?: string;
  readonly kind: LayerKind;
  readonly delta: Delta;
  /** After rank patterns; per expert for experts. 0 for IA3 and whole changes. */
  readonly rank: number;
  /** After alpha patterns. */
  readonly alpha: number;
  /** The final multiplier of the delta, double precision, unitless. */
  readonly scale: number;
  /** DoRA magnitudes, one for each output (each embedding dimension for embeddings), unless `magnitudeAxis` differs. */
  readonly magnitude?: TensorData;
  /** One for each input instead (older LyCORIS; each token of MLX's embeddings). */
  readonly magnitudeAxis?: "inputs";
  /** `lora_B.bias` [out]: the layer's bias grows by scale · this. */
  readonly bias?: TensorData;
  /** `base_layer.weight`: takes the place of the base's weight before the delta is added; may have more rows. */
  readonly baseWeight?: TensorData;
  /** The base was changed by the initialisation; the change is recomputed from the original base. */
  readonly residual?: "pissa" | "olora";
  /** GGUF: the rows of `up` are those of each head's two rotary halves in turn, and are put back when the heads are known. */
  readonly interleavedHeads?: "query" | "key";
  /** Experts only: how the columns of `up` are ordered. PEFT ≥ 0.19 is rank-major. */
  readonly expertLayout?: ExpertLayout;
}

/** PEFT's rank-major `up` [out, rank·E] (B_e = up[:, e::E]), or expert-major (B_e = up[:, e·rank : (e+1)·rank]). */
export const EXPERT_ORDERS = ["rank-major", "expert-major"] as const;
export type ExpertOrder = (typeof EXPERT_ORDERS)[number];

export interface ExpertLayout {
  readonly order: ExpertOrder;
  /**
   * Whether `down` reads the outputs and `up` writes the inputs, as PEFT 0.19.0 and older have it for (E, out, in)
   * parameters. `unless-transposed`: PEFT ≤ 0.18, where (E, in, out) parameters were never swapped. `by-shape` where the
   * file does not say: decided by the shapes, and an error where both fit.
   */
  readonly swapped: boolean | "unless-transposed" | "by-shape";
}

/** A whole tensor that takes the place of the base's (modules_to_save, trained biases, norms …). */
export interface Override {
  /** Path of the parameter as the training framework saw it, e.g. `lm_head.weight`. */
  readonly name: string;
  readonly value: TensorData;
}

/** PEFT trainable tokens: row `indices[i]` of the embedding becomes row i of `rows` [n, dim]. */
export interface TokenRows {
  /** Module path, e.g. `model.embed_tokens`. */
  readonly name: string;
  readonly indices: readonly number[];
  readonly rows: TensorData;
}

export interface Adapter {
  /** What the user named. */
  readonly path: string;
  readonly layout: Layout;
  /** The method's name as users know it: `LoRA`, `rsLoRA`, `DoRA`, `LoHa` … */
  readonly method: string;
  /** Module names have `_` where their paths have dots, after the name of a part of the pipeline (kohya). */
  readonly flatNames?: true;
  readonly convention: Convention;
  readonly modules: readonly AdapterModule[];
  readonly overrides: readonly Override[];
  readonly tokenRows: readonly TokenRows[];
  /** Both ends of a tied embedding share what is trained on either (PEFT `ensure_weight_tying`). */
  readonly keepsTie: boolean;
  /** Name of the base that the adapter was trained on, as its config states; never fetched or opened. */
  readonly baseModel?: string;
  /** `fan_in_fan_out` of the config: only a last resort where the base's architecture is unknown. */
  readonly fanInFanOut: boolean;
  /**
   * Every tensor of the weights file that has a part in the model, to account for each of them. Left out by the layout:
   * copies of the base (`original_module`), what only training used, and what was read into a number (`ranknum`).
   */
  readonly tensors: ReadonlyMap<string, TensorData>;
  readonly files: readonly FileIdentity[];
  /** Traps and oddities; finished, escaped lines. */
  readonly warnings: readonly string[];
}
