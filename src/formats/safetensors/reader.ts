/**
 * A safetensors file as a store: the header is read and checked, the data stays on disk.
 */

import { FormatError } from "../../core/errors.ts";
import { accessTo, type OpenFile, withFile } from "../byte-source.ts";
import { assertNotLookAlike, readStart } from "../detect.ts";
import type { TensorData, TensorStore } from "../tensor-store.ts";
import { LENGTH_BYTES, parseHeader, parseHeaderLength } from "./header.ts";

/**
 * Opens one safetensors file.
 *
 * @param path the file to read
 * @param shownPath how errors and the store name it; differs where a link was resolved
 * @throws {FormatError} for anything that the specification forbids
 */
export function openSafetensors(path: string, shownPath = path): TensorStore {
  const read = ({ fd, identity }: OpenFile): TensorStore => {
    const source = accessTo({ fd, identity }, shownPath);
    const start = readStart(source);
    if (start.length === 0) {
      throw new FormatError("EMPTY_FILE", "the file is empty", { file: shownPath, hint: "download it again" });
    }
    assertNotLookAlike(start, shownPath);
    if (start.length < LENGTH_BYTES) {
      throw new FormatError("HEADER_TRUNCATED", `header needs ${LENGTH_BYTES} bytes, got ${start.length}`, {
        file: shownPath,
      });
    }
    const json = new Uint8Array(parseHeaderLength(start, source.size, shownPath));
    source.read(json, LENGTH_BYTES);
    const dataStart = LENGTH_BYTES + json.length;
    const header = parseHeader(json, source.size - dataStart, shownPath);

    const tensors = new Map<string, TensorData>();
    for (const { name, dtype, shape, begin, end } of header.tensors) {
      const source = { kind: "file" as const, path, offset: dataStart + begin };
      tensors.set(name, { name, dtype, shape, byteLength: end - begin, source });
    }
    const { metadata, warnings } = header;
    return { path: shownPath, tensors, metadata, files: [identity], warnings };
  };
  return withFile(path, read, shownPath);
}
