/**
 * What training needs of a base model, wherever it comes from: its layers, its weights, and its forward pass as a graph.
 */

import type { JsonObject } from "../../core/json.ts";
import type { FileIdentity, TensorData } from "../../formats/tensor-store.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { AdaptLayer, ModelLayer } from "../../models/build/layer-builder.ts";
import type { TokenInputs } from "./token-inputs.ts";

/** A layer that an adapter can be put on. */
export interface BaseLayer extends ModelLayer {
  /** Whether the weight lies as [in, out]: of a Conv1D, of an embedding, and where an exporter turned it. */
  readonly inputsFirst: boolean;
  /** The output head, which `all-linear` leaves out. */
  readonly isHead: boolean;
}

export interface Forward {
  /** [rows, length, width], after the last norm. */
  readonly hidden: Value;
  /** Rows [n, width] → logits [n, vocabulary] */
  readonly project: (rows: Value) => Value;
}

/** Sizes of every batch that a base computes with; `undefined` where any will do. */
export interface FixedSizes {
  readonly rows: number | undefined;
  readonly length: number | undefined;
}

export interface Base {
  /** As the user named it. */
  readonly path: string;
  readonly layers: readonly BaseLayer[];
  /** By the names that graphs have for them: headers until `load`, then f32 in memory, or f16 after `narrow`. */
  readonly weights: ReadonlyMap<string, TensorData>;
  /** Weights → what they are called while the model runs, as adapters name them. */
  readonly parameterNames: ReadonlyMap<string, string>;
  /** Why a module of the model may be none of them. */
  readonly namelessBecause: string | undefined;
  /**
   * Gives modules that are trained whole weights of their own, as the model has them: a head apart from the embedding's
   * table, a matrix that an exporter turned. Before `load`; `parameterNames` and `weights` then have them.
   */
  readonly separate: (isWhole: (module: string) => boolean) => void;
  /** Reads the weights; graphs built later compute with them. */
  readonly load: () => void;
  /**
   * Holds matrices that the file has in 16 bits as f16 from now on, for devices that keep it; those in bf16 are rounded
   * once. Whatever needs their numbers must have read them. Graphs of .onnx files stay in f32.
   */
  readonly narrow?: (isKept: (name: string) => boolean) => void;
  readonly vocabulary: number;
  /** The longest sequence that it has positions for. */
  readonly maxLength: number;
  readonly fixed: FixedSizes;
  /** Whether it keeps rows apart that are packed into one sequence. */
  readonly packs: boolean;
  /** @param trained weights that are trained whole */
  readonly forward: (g: GraphBuilder, inputs: TokenInputs, adapt: AdaptLayer, trained?: ReadonlySet<string>) => Forward;
  /** Where its tokenizer lies; `undefined`: nowhere. */
  readonly tokenizerFolder: string | undefined;
  /** config.json, where there is one. */
  readonly config: JsonObject | undefined;
  readonly files: readonly FileIdentity[];
  /** Finished, escaped lines. */
  readonly warnings: readonly string[];
}

/** Whether one end of the embedding is trained whole: the table, or the output head. */
export function hasWholeEnd(layers: readonly BaseLayer[], isWhole: (module: string) => boolean): boolean {
  return layers.some(({ module, isHead, kind }) => (isHead || kind === "embedding") && isWhole(module));
}
