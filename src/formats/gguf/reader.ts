/**
 * A GGUF file as a store: the header is read and checked, the data stays on disk.
 *
 * Tensors of quantised types are there by name, as the bytes of their rows; nothing computes with them.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { accessTo, type OpenFile, withFile } from "../byte-source.ts";
import { assertNotLookAlike, readStart } from "../detect.ts";
import type { TensorData, TensorStore } from "../tensor-store.ts";
import { type GgufTensor, MAGIC, readHeader } from "./header.ts";

/** Whether the bytes can start a GGUF file. */
export function startsLikeGguf(start: Uint8Array): boolean {
  return MAGIC.every((byte, at) => start[at] === byte);
}

/**
 * Opens one GGUF file.
 *
 * @param shownPath how errors and the store name the file; differs where a link was resolved
 * @throws {FormatError | UnsupportedError} for what llama.cpp would not load, and for one part of several
 */
export function openGguf(path: string, shownPath = path): TensorStore {
  const open = (file: OpenFile): TensorStore => {
    const source = accessTo(file, shownPath);
    const start = readStart(source);
    if (!startsLikeGguf(start)) assertNotLookAlike(start, shownPath);
    const { metadata, tensors, warnings } = readHeader(source);
    const parts = Number(metadata.get("split.count") ?? 1);
    if (parts > 1) {
      throw new UnsupportedError("UNSUPPORTED_FORMAT", `is one of ${parts} parts of a split file`, {
        file: shownPath,
        hint: "join them first: llama-gguf-split --merge",
      });
    }
    return {
      path: shownPath,
      tensors: new Map(tensors.map((tensor) => [tensor.name, toTensor(tensor, path)])),
      metadata,
      files: [file.identity],
      warnings: [...warnings, ...quantisedWarning(tensors)],
    };
  };
  return withFile(path, open, shownPath);
}

function toTensor({ name, type, shape, byteLength, offset }: GgufTensor, path: string): TensorData {
  const source = { kind: "file" as const, path, offset };
  if (type.dtype !== undefined) return { name, dtype: type.dtype, shape, byteLength, source };
  const rowBytes = ((shape.at(-1) ?? 0) / type.block) * type.bytes;
  return { name, dtype: "u8", shape: [...shape.slice(0, -1), rowBytes], byteLength, source };
}

function quantisedWarning(tensors: readonly GgufTensor[]): string[] {
  const quantised = tensors.filter(({ type }) => type.dtype === undefined);
  const types = [...new Set(quantised.map(({ type }) => type.name))].join(", ");
  return quantised.length === 0 ? [] : [`${quantised.length} tensors are quantised (${types}): shown as bytes`];
}
