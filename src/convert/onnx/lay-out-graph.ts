/**
 * A graph whose weights lie in files → the files of an ONNX model: the model, and its weights in a data file beside it or,
 * linked, where they are.
 *
 * ONNX Runtime opens external data by a path below the model's folder and by an offset, which need not be aligned; a path
 * that leads out of the folder, also through a link, it refuses.
 */

import { basename, dirname, join } from "node:path";
import { copyOf, type OutputTensor } from "../../adapters/output/output-tensor.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { escapeText } from "../../core/text.ts";
import { readTensorBytes } from "../../formats/byte-source.ts";
import { alignedOffset, MIN_EXTERNAL_BYTES } from "../../formats/onnx/data-alignment.ts";
import type { ExternalLocation } from "../../formats/onnx/encode-tensor.ts";
import { encodeGraph } from "../../formats/onnx/encoder.ts";
import { locationOf } from "../../formats/onnx/external-location.ts";
import type { Graph } from "../../formats/onnx/graph.ts";
import type { OnnxLayout } from "../../formats/onnx/layout.ts";
import { bytesPiece, placePieces } from "../../formats/onnx/pieces.ts";
import type { FileRange, TensorData } from "../../formats/tensor-store.ts";
import type { WeightsFrame } from "../../formats/weights-frame.ts";

export interface GraphLayout {
  /** The data file, where there is one, then the model; all but the data are in it. */
  readonly layout: OnnxLayout;
  readonly data: DataFile | undefined;
}

export interface DataFile {
  readonly name: string;
  readonly frame: WeightsFrame;
  readonly tensors: readonly OutputTensor[];
}

export interface GraphLayoutOptions {
  /** Path of the model to be. */
  readonly out: string;
  /** Refers to the weights where they are. */
  readonly link: boolean;
  /** Text by key. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL for weights that the model could not refer to */
export function layOutGraph(graph: Graph, { out, link, metadata }: GraphLayoutOptions): GraphLayout {
  const name = basename(out);
  const places = new Map<TensorData, ExternalLocation>();
  const initialisers = new Map(graph.initialisers);
  const [tensors, offsets]: [OutputTensor[], number[]] = [[], []];
  const dataName = `${name}_data`;
  let size = 0;
  for (const [key, tensor] of graph.initialisers) {
    const { source, byteLength } = tensor;
    if (source.kind === "memory") continue;
    if (link) places.set(tensor, linkTo(tensor, source, out));
    else if (byteLength < MIN_EXTERNAL_BYTES) {
      initialisers.set(key, { ...tensor, source: { kind: "memory", bytes: readTensorBytes(tensor) } });
    } else {
      const offset = alignedOffset(size, byteLength);
      size = offset + byteLength;
      places.set(tensor, { location: dataName, offset });
      tensors.push(copyOf(tensor));
      offsets.push(offset);
    }
  }
  const model = encodeGraph({ ...graph, initialisers }, (tensor) => places.get(tensor), metadata);
  const modelFile = placePieces(name, [bytesPiece(model)]);
  if (tensors.length === 0) return { layout: { files: [modelFile], tensors: new Map() }, data: undefined };
  const frame = { header: new Uint8Array(), offsets, size };
  const dataFile = { name: dataName, byteLength: size, pieces: [] };
  return {
    layout: { files: [dataFile, modelFile], tensors: new Map() },
    data: { name: dataName, frame, tensors },
  };
}

function linkTo(tensor: TensorData, source: FileRange, out: string): ExternalLocation {
  const location = locationOf(source.path, out);
  if (location !== undefined) return { location, offset: source.offset };
  throw new UnsupportedError("UNSUPPORTED_MODEL", "does not lie below the model's folder, so it cannot be linked to", {
    file: source.path,
    subject: tensor.name,
    hint: `write the model beside its weights, as ${escapeText(join(dirname(source.path), basename(out)))}, or leave out --link`,
  });
}
