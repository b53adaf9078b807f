/**
 * What training needs of a base model, wherever it comes from: its layers, its weights, and its forward pass as a graph.
 */

import type { Graph } from "../../formats/onnx/graph.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { LinearLayer } from "../../graph/lora.ts";

/** A layer that an adapter can be put on. */
export interface BaseLayer {
  /** Path of the module as PEFT names it. */
  readonly module: string;
  readonly kind: "linear" | "embedding";
  /** Tokens of an embedding. */
  readonly inputs: number;
  readonly outputs: number;
  /** Name of the tensor among the base's weights. */
  readonly weight: string;
  /** Whether the tensor lies as [in, out]: a Conv1D, and every embedding. */
  readonly inputsFirst: boolean;
  /** The output head, which `all-linear` leaves out. */
  readonly isHead: boolean;
}

export interface Forward {
  /** Inputs `input_ids`, `position_ids`, `segment_ids`, i64 [rows, length]; one output, `hidden` [rows, length, width]. */
  readonly graph: Graph;
  /** Name of the value that a layer's node computes, by module; the head has none. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Rows [n, width] → logits [n, vocabulary]; `adaptHead` stands in for the product with the head's weight. */
  readonly project: (g: GraphBuilder, rows: Value, adaptHead?: (head: LinearLayer) => Value) => Value;
}

export interface Base {
  readonly path: string;
  readonly layers: readonly BaseLayer[];
  /** By the names that graphs use. */
  readonly weights: ReadonlyMap<string, TensorData>;
  readonly vocabulary: number;
  /** The longest sequence that it has positions for. */
  readonly maxLength: number;
  readonly forward: (rows: number, length: number) => Forward;
  /** Finished, escaped lines. */
  readonly warnings: readonly string[];
}
