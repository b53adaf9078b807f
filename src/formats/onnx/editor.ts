/**
 * Changes to an ONNX file, collected and then laid out as files to be written; the file itself is never touched.
 *
 * A tensor that keeps dtype and shape is overwritten where its bytes lie, in the model or in its data file, and everything
 * else is byte-equal. Any other change encodes only the messages on the way to it. Bytes stay on disk until they are
 * written. A change of dtype or shape does not follow into `value_info` or into nodes: that is the caller's business.
 */

import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { MAX_PROTOBUF_BYTES } from "../../core/limits.ts";
import { MIN_EXTERNAL_BYTES } from "./data-alignment.ts";
import { metadataSplices } from "./edit-metadata.ts";
import { byteLengthOfTensor, type NewTensor } from "./encode-piece.ts";
import { type AddedInitialiser, type OnnxLayout, planLayout } from "./layout.ts";
import { withWire } from "./lazy.ts";
import type { OnnxConstant, OnnxGraph, OnnxModel, OnnxNode, OnnxValue } from "./model.ts";
import { bytesPiece } from "./pieces.ts";
import { NODE } from "./schema.ts";
import { messageHeader, type Splice } from "./splice.ts";
import { encodeText } from "./text.ts";
import { graphsOf } from "./traverse.ts";
import type { Span } from "./wire.ts";

export interface LayoutOptions {
  /** Largest model file; tensors beyond it go to external data. Default 2 GiB − 1, protobuf's limit. */
  readonly maxModelBytes?: number;
}

export class OnnxEditor {
  readonly model: OnnxModel;
  readonly #tensors = new Map<string, NewTensor>();
  readonly #added = new Map<string, AddedInitialiser>();
  readonly #removed = new Set<Span>();
  readonly #inputs = new Map<OnnxNode, Map<number, string>>();
  readonly #outputs = new Map<OnnxNode, Map<number, string>>();
  readonly #metadata = new Map<string, string>();
  #externalBytes = Number.POSITIVE_INFINITY;

  constructor(model: OnnxModel) {
    this.model = model;
  }

  /** Gives a constant other values; by its key in the store. */
  setTensor(key: string, tensor: NewTensor): void {
    const constant = this.#constant(key);
    byteLengthOfTensor(tensor, key);
    if (!("external" in constant.tensor) || constant.tensor.parts.length > 1) {
      throw this.#unsupported(key, "a sparse tensor or one in several parts cannot be changed");
    }
    this.#tensors.set(key, tensor);
  }

  /** Adds a constant to a graph. Returns its key in the store of the new file. */
  addInitialiser(name: string, tensor: NewTensor, graph: OnnxGraph = this.model.graph): string {
    const key = graph.scope === "" ? name : `${graph.scope}/${name}`;
    const isTaken =
      name === "" ||
      this.#added.has(key) ||
      this.model.constants.has(key) ||
      graph.inputs.some((input) => input.name === name) ||
      graph.nodes.some(({ outputs }) => outputs.includes(name));
    if (isTaken)
      throw new FormatError("DUPLICATE_KEY", "the graph has a value of this name", {
        file: this.model.path,
        subject: name,
      });
    byteLengthOfTensor(tensor, key);
    this.#added.set(key, { name, key, graph, tensor });
    return key;
  }

  /** Adds a copy of an initialiser to its graph, for a weight that several nodes share. Returns the copy's key. */
  cloneInitialiser(key: string, name: string): string {
    const { scope, tensor } = this.#constant(key);
    const graph = [...graphsOf(this.model)].find((one) => one.scope === scope);
    if (graph === undefined) throw this.#unsupported(key, "a function has no initialisers");
    const { dtype, shape, source } = tensor.data;
    return this.addInitialiser(name, { dtype, shape, source }, graph);
  }

  /** Makes a node read another value at one of its inputs. */
  setInput(node: OnnxNode, index: number, name: string): void {
    if (index < 0 || index >= node.inputs.length) throw this.#unsupported(node.name, `has no input ${index}`);
    const inputs = this.#inputs.get(node) ?? new Map<number, string>();
    this.#inputs.set(node, inputs.set(index, name));
  }

  /** Gives a node's result another name; whoever reads it is the caller's business. */
  setOutput(node: OnnxNode, index: number, name: string): void {
    if (index < 0 || index >= node.outputs.length) throw this.#unsupported(node.name, `has no output ${index}`);
    const outputs = this.#outputs.get(node) ?? new Map<number, string>();
    this.#outputs.set(node, outputs.set(index, name));
  }

  /** Sets an entry of the model's `metadata_props`. */
  setMetadata(key: string, value: string): void {
    this.#metadata.set(key, value);
  }

  removeNode(node: OnnxNode): void {
    this.#removed.add(node.span);
  }

  /** Removes a graph's input or output or the annotation of a value. */
  removeValue(value: OnnxValue): void {
    this.#removed.add(value.span);
  }

  removeInitialiser(key: string): void {
    const { kind, tensor } = this.#constant(key);
    if (kind === "constant node") throw this.#unsupported(key, "is a Constant node, expected an initialiser");
    for (const part of tensor.parts) this.#removed.add(part);
    this.#tensors.delete(key);
  }

  /**
   * Moves every initialiser of at least so many bytes out of the model file. Below the default lie shapes and axes, which
   * ONNX Runtime 1.32 wants inside the model.
   */
  moveToExternalData(minBytes: number = MIN_EXTERNAL_BYTES): void {
    this.#externalBytes = minBytes;
  }

  /**
   * The files of the output; nothing is written yet.
   *
   * @param modelName file name of the new model; data files keep their names only if it is the old one
   * @throws {UnsupportedError} UNSUPPORTED_MODEL when the model exceeds protobuf's 2 GiB even without its initialisers
   */
  layOut(modelName: string, { maxModelBytes = MAX_PROTOBUF_BYTES }: LayoutOptions = {}): OnnxLayout {
    const layout = this.#layOut(modelName, this.#externalBytes);
    if (modelBytes(layout) <= maxModelBytes) return layout;
    const external = this.#layOut(modelName, Math.min(this.#externalBytes, MIN_EXTERNAL_BYTES));
    if (modelBytes(external) <= maxModelBytes) return external;
    const problem = `the model would take ${modelBytes(external)} bytes without its initialisers, protobuf allows ${maxModelBytes}`;
    throw this.#unsupported(modelName, problem);
  }

  #layOut(modelName: string, externalBytes: number): OnnxLayout {
    const tensors = new Map(this.#tensors);
    for (const { key, kind, tensor } of this.model.constants.values()) {
      if (tensors.has(key) || kind !== "initialiser" || !("external" in tensor)) continue;
      const { dtype, shape, source, byteLength } = tensor.data;
      const stays =
        tensor.external !== undefined || tensor.parts.length > 1 || dtype === "string" || byteLength < externalBytes;
      if (!stays) tensors.set(key, { dtype, shape, source });
    }
    return planLayout(this.model, modelName, {
      tensors: new Map([...tensors].filter(([key]) => !this.#isRemoved(key))),
      added: [...this.#added.values()],
      splices: [
        ...this.#removals(),
        ...renameValues(this.model, this.#inputs, NODE.input),
        ...renameValues(this.model, this.#outputs, NODE.output),
        ...metadataSplices(this.model, this.#metadata),
      ],
      // A model that keeps its weights outside gets its new ones there, too.
      externalBytes: this.model.dataFiles.size > 0 ? Math.min(externalBytes, MIN_EXTERNAL_BYTES) : externalBytes,
      movesInline: externalBytes,
    });
  }

  #isRemoved(key: string): boolean {
    const [first] = this.model.constants.get(key)?.tensor.parts ?? [];
    for (let span: Span | undefined = first; span !== undefined; span = span.parent)
      if (this.#removed.has(span)) return true;
    return false;
  }

  #removals(): Splice[] {
    return [...this.#removed].map((span) => ({
      within: span.parent ?? this.model.span,
      start: span.tagStart,
      end: span.end,
      content: [],
    }));
  }

  #constant(key: string): OnnxConstant {
    const constant = this.model.constants.get(key);
    if (constant !== undefined) return constant;
    throw this.#unsupported(key, "the model has no constant of this name");
  }

  #unsupported(subject: string, problem: string): UnsupportedError {
    return new UnsupportedError("UNSUPPORTED_MODEL", problem, { file: this.model.path, subject });
  }
}

/** Other names for inputs or outputs of nodes, by their position. */
function renameValues(
  model: OnnxModel,
  names: ReadonlyMap<OnnxNode, ReadonlyMap<number, string>>,
  tag: number,
): Splice[] {
  if (names.size === 0) return [];
  return withWire(model, (wire) =>
    [...names].flatMap(([{ span }, byPosition]) => {
      const fields = [...wire.fields([span])].filter((field) => field.tag === tag);
      return fields.flatMap(({ tagStart, end }, position) => {
        const name = byPosition.get(position);
        if (name === undefined) return [];
        const text = encodeText(name);
        const content = [bytesPiece(messageHeader(tag >>> 3, text.length)), bytesPiece(text)];
        return [{ within: span, start: tagStart, end, content }];
      });
    }),
  );
}

function modelBytes({ files }: OnnxLayout): number {
  return files.at(-1)?.byteLength ?? 0;
}
