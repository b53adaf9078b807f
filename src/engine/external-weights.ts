/**
 * Where the engine finds the weights of a graph: initialisers stay outside the model's protobuf, so that it stays small.
 *
 * Those in files are named by their path from the root of the file system, which ONNX Runtime maps into memory; those in
 * memory are handed over under a made-up name. Small ones stay inside: shape inference reads them.
 */

import { parse, relative, resolve, sep } from "node:path";
import { UnsupportedError } from "../core/errors.ts";
import type { ExternalLocation, ExternalLocator } from "../formats/onnx/encode-tensor.ts";
import type { Graph } from "../formats/onnx/graph.ts";

export interface ExternalWeights {
  readonly locate: ExternalLocator;
  /** The folder that locations of files are relative to; `undefined` when no weight lies in a file. */
  readonly folder: string | undefined;
  /** Bytes by location, for the session option `externalData`. */
  readonly buffers: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** The size above which the ONNX libraries write a tensor as external data. */
const INLINE_BYTES = 1024;

/** @throws {UnsupportedError} UNSUPPORTED_MODEL when weights lie on several drives: the engine reads from one root */
export function placeWeights(graph: Graph): ExternalWeights {
  const locations = new Map<unknown, ExternalLocation>();
  const buffers: { path: string; data: Uint8Array }[] = [];
  let folder: string | undefined;
  for (const tensor of graph.initialisers.values()) {
    const { source } = tensor;
    if (tensor.byteLength === 0) continue;
    if (source.kind === "file") {
      const path = resolve(source.path);
      const { root } = parse(path);
      if (folder !== undefined && folder !== root) {
        throw new UnsupportedError("UNSUPPORTED_MODEL", `weights lie on another drive than ${folder}`, {
          file: source.path,
          subject: tensor.name,
          hint: "move the files of the model to one drive",
        });
      }
      folder = root;
      locations.set(tensor, { location: relative(root, path).split(sep).join("/"), offset: source.offset });
    } else if (tensor.byteLength > INLINE_BYTES) {
      // No file has this name: `<` cannot occur in one on Windows, and elsewhere the engine looks here first.
      const location = `<memory>/${buffers.length}`;
      buffers.push({ path: location, data: source.bytes });
      locations.set(tensor, { location, offset: 0 });
    }
  }
  return { locate: (tensor) => locations.get(tensor), folder, buffers };
}
