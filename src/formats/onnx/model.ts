/**
 * An ONNX file as it lies on disk: what is in it and where, so that it can be read lazily and patched in place.
 *
 * Everything that decides a merge is here by name; what does not (doc strings, unknown fields, attribute values, types)
 * stays in the file, and the spans say where. `toGraph` makes a graph for computing out of it.
 */

import type { FileIdentity, TensorData, TensorStore } from "../tensor-store.ts";
import type { Field, Span } from "./wire.ts";

export interface OnnxModel {
  readonly path: string;
  readonly identity: FileIdentity;
  /** The whole file. */
  readonly span: Span;
  readonly irVersion: number;
  /** Version of each operator set by domain; ONNX's own is `""`. */
  readonly opsetImports: ReadonlyMap<string, number>;
  readonly graph: OnnxGraph;
  readonly functions: readonly OnnxFunction[];
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * Named constants of every graph and function by the key that they have in `store`: the value's name in the main graph,
   * `<scope>/<name>` elsewhere.
   */
  readonly constants: ReadonlyMap<string, OnnxConstant>;
  /** Files of external data by real path. */
  readonly dataFiles: ReadonlyMap<string, FileIdentity>;
  readonly store: TensorStore;
}

export interface OnnxGraph {
  /** More than one only where a file states the graph twice: protobuf merges the parts. */
  readonly parts: readonly Span[];
  readonly name: string;
  /** `""` for the main graph, else the way there: `If#3.then_branch`, `Loop#0.body/If#1.else_branch`. */
  readonly scope: string;
  readonly nodes: readonly OnnxNode[];
  /** In the order of the file. */
  readonly initialisers: ReadonlyMap<string, OnnxTensor>;
  readonly sparseInitialisers: ReadonlyMap<string, OnnxSparseTensor>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly valueInfo: readonly OnnxValue[];
}

export interface OnnxFunction {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly scope: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly OnnxNode[];
  /** Attributes that have a default value. */
  readonly defaults: readonly OnnxAttribute[];
  readonly opsetImports: ReadonlyMap<string, number>;
}

export interface OnnxNode {
  readonly span: Span;
  /** May be empty, need not be unique. */
  readonly name: string;
  readonly opType: string;
  /** `""` for ONNX's own operators, also where the file says `ai.onnx`. */
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly OnnxAttribute[];
}

/** What an attribute holds besides numbers and text, which `readAttribute` reads from the file when asked. */
export interface OnnxAttribute {
  readonly span: Span;
  readonly name: string;
  readonly graphs: readonly OnnxGraph[];
  readonly tensors: readonly OnnxTensor[];
  readonly sparseTensors: readonly OnnxSparseTensor[];
}

/** A graph input, output or annotated value; `readValueInfo` reads its type. */
export interface OnnxValue {
  readonly span: Span;
  readonly name: string;
}

export interface OnnxTensor {
  readonly parts: readonly Span[];
  readonly data: TensorData;
  /** Bytes inside the model file that are laid out as the values are in memory, so that others of equal size fit. */
  readonly payload: { readonly start: number; readonly end: number } | undefined;
  readonly external: ExternalData | undefined;
}

export interface OnnxSparseTensor {
  readonly parts: readonly Span[];
  readonly values: OnnxTensor;
  readonly indices: OnnxTensor;
  /** The dense tensor that it stands for, made when its bytes are read. */
  readonly data: TensorData;
}

/** Where a tensor's bytes lie outside of the model. */
export interface ExternalData {
  /** As in the file. */
  readonly location: string;
  /** Real path of the data file. */
  readonly path: string;
  readonly offset: number;
  /** SHA-1 of the whole data file in hexadecimal, checked. */
  readonly checksum: string | undefined;
  /** Fields of the `TensorProto` that hold the entries, by key. */
  readonly entries: ReadonlyMap<string, Field>;
}

/** A value whose numbers stand in the file. */
export interface OnnxConstant {
  readonly key: string;
  /** Name of the value in its scope. */
  readonly name: string;
  readonly scope: string;
  readonly kind: "initialiser" | "sparse initialiser" | "constant node";
  readonly tensor: OnnxTensor | OnnxSparseTensor;
}
