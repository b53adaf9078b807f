/**
 * An ONNX graph as plain, readonly data: what is built for the engine, what a model file is read into for computing, and
 * what gradients walk. It holds the meaning of a model, not its file: editing a file in place needs the bytes instead.
 *
 * ONNX IR 14 (https://github.com/onnx/onnx/blob/main/docs/IR.md) without what no graph here may contain: model-local
 * functions, sparse tensors, sequences, maps, optionals, and attributes of type TENSORS, GRAPHS or TYPE_PROTO. A reader
 * refuses those.
 */

import type { Dtype } from "../../core/dtype.ts";
import type { TensorData } from "../tensor-store.ts";

/** A size, a symbol that stands for the same size wherever it occurs, or `undefined` where the size is unknown. */
export type Dimension = number | string | undefined;

export interface ValueInfo {
  readonly name: string;
  readonly dtype: Dtype;
  /** Outermost first; `undefined` when not even the rank is known. */
  readonly shape: readonly Dimension[] | undefined;
}

export type Attribute =
  /** Signed 64-bit, hence bigint: real models hold INT64_MAX. */
  | { readonly kind: "int"; readonly value: bigint }
  | { readonly kind: "ints"; readonly value: readonly bigint[] }
  /** Rounded to f32 in a file. */
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: TensorData }
  /** Body of If, Loop or Scan; sees the values of the graphs around it. */
  | { readonly kind: "graph"; readonly value: GraphBody };

export interface GraphNode {
  /** For people and error messages; may be empty, need not be unique. */
  readonly name: string;
  readonly opType: string;
  /** Operator set: `""` is ONNX's own. */
  readonly domain: string;
  /** Names of values, by position; `""` for an optional input that is absent. */
  readonly inputs: readonly string[];
  /** Names of values, each defined once in a graph; `""` for an optional output that is not wanted. */
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

export interface GraphBody {
  readonly name: string;
  /** In an order in which each value is defined before it is used. */
  readonly nodes: readonly GraphNode[];
  /** Constant values by name. The bytes lie in a file or in memory. */
  readonly initialisers: ReadonlyMap<string, TensorData>;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

export interface Graph extends GraphBody {
  /** Version of the ONNX format whose features the graph uses: 10 unless it holds an element type that is younger. */
  readonly irVersion: number;
  /** Version of each operator set in use, by domain. */
  readonly opsetImports: ReadonlyMap<string, number>;
}
