/**
 * An .onnx_adapter file (FlatBuffers, identifier "TORT") as a store: names, types and shapes; the data stays on disk.
 *
 * ONNX Runtime 1.20+, onnxruntime/lora/adapter_format/adapter_schema.fbs:
 *   Adapter   { format_version, adapter_version, model_version: int; parameters: [Parameter] }
 *   Parameter { name: string; dims: [int64]; data_type: int (ONNX element type); raw_data: [ubyte] }
 * Refused, as there: another identifier or format version, no dimensions, sizes that do not match. And parameters without a
 * name or of one name.
 */

import { DTYPE_BITS } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { MAX_ONNX_MESSAGES } from "../../core/limits.ts";
import { elementCount, formatShape } from "../../core/shape.ts";
import { accessTo, type OpenFile, withFile } from "../byte-source.ts";
import { assertNotLookAlike, readStart } from "../detect.ts";
import { dtypeOfElementType } from "../onnx/element-type.ts";
import type { TensorData, TensorStore } from "../tensor-store.ts";
import { FlatReader, type FlatTable } from "./flat-reader.ts";
import { ADAPTER_FIELDS, FORMAT_VERSION, IDENTIFIER, PARAMETER_FIELDS } from "./schema.ts";

/** Root offset and identifier. */
const HEADER_BYTES = 8;

/** Whether the bytes can start an .onnx_adapter file. */
export function startsLikeOnnxAdapter(start: Uint8Array): boolean {
  return start.length >= HEADER_BYTES && [...IDENTIFIER].every((letter, at) => start[4 + at] === letter.charCodeAt(0));
}

/**
 * Opens one .onnx_adapter file. `adapter_version` and `model_version` are the store's metadata.
 *
 * @param shownPath how errors and the store name the file; differs where a link was resolved
 * @throws {FormatError | UnsupportedError} naming the file and, where there is one, the parameter
 */
export function openOnnxAdapter(path: string, shownPath = path): TensorStore {
  const open = (opened: OpenFile): TensorStore => {
    const source = accessTo(opened, shownPath);
    assertAdapter(readStart(source), shownPath);
    const flat = new FlatReader(source);
    const adapter = flat.tableAt(0);
    const formatVersion = readInt(flat, adapter, ADAPTER_FIELDS.formatVersion);
    if (formatVersion !== FORMAT_VERSION) {
      const problem = `format version ${formatVersion} is not known, expected ${FORMAT_VERSION}`;
      throw new UnsupportedError("UNSUPPORTED_FORMAT", problem, { file: shownPath });
    }
    const metadata = new Map([
      ["adapter_version", String(readInt(flat, adapter, ADAPTER_FIELDS.adapterVersion))],
      ["model_version", String(readInt(flat, adapter, ADAPTER_FIELDS.modelVersion))],
    ]);
    const tensors = readParameters(flat, adapter, { path, shownPath });
    return { path: shownPath, tensors, metadata, files: [opened.identity], warnings: [] };
  };
  return withFile(path, open, shownPath);
}

function assertAdapter(start: Uint8Array, file: string): void {
  if (start.length === 0) {
    throw new FormatError("EMPTY_FILE", "the file is empty", { file, hint: "download it again" });
  }
  if (startsLikeOnnxAdapter(start)) return;
  assertNotLookAlike(start, file);
  throw new FormatError("WRONG_FORMAT", `expected the identifier "${IDENTIFIER}" at byte 4`, { file });
}

interface Paths {
  readonly path: string;
  readonly shownPath: string;
}

function readParameters(flat: FlatReader, adapter: FlatTable, paths: Paths): Map<string, TensorData> {
  const tensors = new Map<string, TensorData>();
  const place = flat.field(adapter, ADAPTER_FIELDS.parameters);
  if (place === undefined) return tensors;
  const { start, length } = flat.vectorAt(place, 4);
  const file = paths.shownPath;
  if (length > MAX_ONNX_MESSAGES) {
    throw new FormatError("HEADER_TOO_LARGE", `${length} parameters, expected at most ${MAX_ONNX_MESSAGES}`, { file });
  }
  for (let index = 0; index < length; index++) {
    const tensor = readParameter(flat, flat.tableAt(start + index * 4), paths);
    if (tensors.has(tensor.name)) {
      throw new FormatError("DUPLICATE_KEY", "two parameters have this name", { file, subject: tensor.name });
    }
    tensors.set(tensor.name, tensor);
  }
  return tensors;
}

function readParameter(flat: FlatReader, parameter: FlatTable, { path, shownPath }: Paths): TensorData {
  const name = readName(flat, parameter, shownPath);
  const details = { file: shownPath, subject: name };
  const elementType = readInt(flat, parameter, PARAMETER_FIELDS.dataType);
  const dtype = dtypeOfElementType(elementType);
  if (dtype === undefined || dtype === "string") {
    throw new FormatError("INVALID_DTYPE", `expected an ONNX element type of numbers, got ${elementType}`, details);
  }
  const dims = flat.field(parameter, PARAMETER_FIELDS.dims);
  const shape = dims === undefined ? [] : flat.sizesAt(dims);
  if (shape.length === 0) {
    throw new FormatError("INVALID_SHAPE", "a parameter without dimensions, expected at least one", details);
  }
  const bits = (elementCount(shape) ?? Number.NaN) * DTYPE_BITS[dtype];
  if (!Number.isSafeInteger(bits)) {
    throw new FormatError("INVALID_SHAPE", `expected a shape of at most 2^53 bits, got ${formatShape(shape)}`, details);
  }
  const byteLength = Math.ceil(bits / 8);
  const place = flat.field(parameter, PARAMETER_FIELDS.rawData);
  const data = place === undefined ? { start: 0, length: 0 } : flat.vectorAt(place, 1);
  if (data.length !== byteLength) {
    const problem = `expected ${byteLength} bytes for ${dtype} ${formatShape(shape)}, got ${data.length}`;
    throw new FormatError("SIZE_MISMATCH", problem, details);
  }
  return { name, dtype, shape, byteLength, source: { kind: "file", path, offset: data.start } };
}

function readName(flat: FlatReader, parameter: FlatTable, file: string): string {
  const place = flat.field(parameter, PARAMETER_FIELDS.name);
  const { start, length } = place === undefined ? { start: 0, length: 0 } : flat.vectorAt(place, 1);
  if (length === 0) throw new FormatError("INVALID_METADATA", "a parameter without a name", { file });
  if (length > MAX_NAME_BYTES) {
    throw new FormatError("HEADER_TOO_LARGE", `a name of ${length} bytes, expected at most ${MAX_NAME_BYTES}`, {
      file,
    });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(flat.bytes(start, length));
  } catch (cause) {
    throw new FormatError("INVALID_UTF8", "the name of a parameter is not UTF-8", { file, cause });
  }
}

/** Real names have at most 200 bytes. */
const MAX_NAME_BYTES = 65_536;

/** An int field; 0 is the schema's default. */
function readInt(flat: FlatReader, table: FlatTable, index: number): number {
  const place = flat.field(table, index);
  return place === undefined ? 0 : flat.int32(place);
}
