/**
 * A base model as the user names it: an HF folder, a shard index, one safetensors file. The weights are a store; the
 * rest are small files that travel with them. Of an ONNX graph, the constants are named by the parameters that they hold.
 */

import type { JsonObject } from "../core/json.ts";
import type { OnnxParameters } from "./onnx/parameters/parameters.ts";
import type { TensorStore } from "./tensor-store.ts";

/** How the weights lie in files, so that an output can keep the same layout. */
export interface WeightFile {
  /** File name inside the model, e.g. `model-00001-of-00003.safetensors`; never a path. */
  readonly name: string;
  /** Names of the tensors inside, in the order of their bytes. */
  readonly tensors: readonly string[];
  readonly metadata: ReadonlyMap<string, string>;
}

export interface Model {
  readonly path: string;
  /** `folder`: an HF folder (weights, config.json, tokenizer …). `file`: one weights file. */
  readonly kind: "folder" | "file";
  readonly store: TensorStore;
  readonly weightFiles: readonly WeightFile[];
  /** Name of the shard index, where the model has one. */
  readonly indexName: string | undefined;
  /** config.json of the folder, or the one beside a single weights file; `undefined` when there is none. */
  readonly config: JsonObject | undefined;
  /** Paths of the small files to carry over (allow-listed names only), by their name in the folder. */
  readonly smallFiles: ReadonlyMap<string, string>;
  /** Warnings for those who carry them over: what stays behind. */
  readonly leftBehind: readonly string[];
  /** How the graph computes with the tensors, by their names; `undefined` for files that hold weights only. */
  readonly graph?: OnnxParameters;
}
