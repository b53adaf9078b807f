/**
 * The header of a safetensors file, checked: u64 length N, N bytes of JSON, then data.
 *
 * Follows `read_metadata` and `Metadata::validate` of safetensors 0.8 (safetensors/src/tensor.rs) and is stricter in
 * exactly: duplicate keys (the specification disallows them, the reference keeps the last), entries as positional
 * arrays, dimensions and offsets above 2^53 − 1, and tensors of more than 64 dimensions.
 */

import { DTYPE_BITS, type Dtype } from "../../core/dtype.ts";
import { type FormatCode, FormatError } from "../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { parseJsonMembers } from "../../core/json-parser.ts";
import { MAX_SAFETENSORS_HEADER_BYTES, MAX_TENSOR_RANK } from "../../core/limits.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import { parseDtype, SAFETENSORS_DTYPES } from "./dtype.ts";
import { HeaderOddities } from "./header-oddities.ts";

/** Bytes of the length in front of the header. */
export const LENGTH_BYTES = 8;

export interface HeaderTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
  /** From the start of the data, in bytes. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** In the order of their bytes. */
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/**
 * The header's length, checked against the file before anything is allocated.
 *
 * @param prefix the first 8 bytes
 */
export function parseHeaderLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_SAFETENSORS_HEADER_BYTES)) {
    const problem = `header length ${length} exceeds the limit, ${MAX_SAFETENSORS_HEADER_BYTES} bytes`;
    throw new FormatError("HEADER_TOO_LARGE", problem, { file, hint: "this is hardly a safetensors file" });
  }
  const available = fileBytes - LENGTH_BYTES;
  if (Number(length) > available) {
    const problem = `header length ${length} exceeds the file, ${available} bytes follow`;
    throw new FormatError("HEADER_TRUNCATED", problem, { file, hint: "the download may be incomplete" });
  }
  return Number(length);
}

/** Parses and checks the JSON of the header against the bytes of data that follow it. */
export function parseHeader(json: Uint8Array, dataBytes: number, file: string): Header {
  if (json.length === 0) throw new FormatError("INVALID_JSON", "the header is empty", { file });
  if (json.at(-1) === 0) {
    throw new FormatError("INVALID_JSON", "the header is padded with NUL, expected spaces", {
      file,
      hint: "the program that wrote it is at fault; load and save it again with Python's safetensors",
    });
  }
  const tensors: HeaderTensor[] = [];
  const oddities = new HeaderOddities(file);
  let metadata: ReadonlyMap<string, string> = new Map();
  parseJsonMembers(json, { file, sizesOnly: true }, (key, value) => {
    if (key === "__metadata__") metadata = parseMetadata(value, file, oddities);
    else tensors.push(parseEntry(key, value, file, oddities));
  });
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(tensors, dataBytes, file);
  return { tensors, metadata, warnings: oddities.lines() };
}

function parseMetadata(value: JsonValue, file: string, oddities: HeaderOddities): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (value === null) {
    oddities.nullMetadata = true;
    return metadata;
  }
  if (!(value instanceof Map)) {
    throw invalid("INVALID_METADATA", "__metadata__", `expected a map of strings, got ${describe(value)}`, file);
  }
  for (const [key, text] of value as JsonObject) {
    if (typeof text !== "string") {
      const problem = `${quote(key)} must be a string, got ${describe(text)}`;
      throw invalid("INVALID_METADATA", "__metadata__", problem, file);
    }
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(name: string, value: JsonValue, file: string, oddities: HeaderOddities): HeaderTensor {
  if (!(value instanceof Map)) {
    const problem = `expected an object with dtype, shape and data_offsets, got ${describe(value)}`;
    throw invalid("INVALID_JSON", name, problem, file);
  }
  const entry = value as JsonObject;
  const dtype = toDtype(entry.get("dtype"), name, file);
  const shape = toSizes(entry.get("shape"));
  if (shape === undefined) {
    const problem = `shape must be a list of whole numbers up to 2^53 - 1, got ${describe(entry.get("shape"))}`;
    throw invalid("INVALID_SHAPE", name, problem, file);
  }
  if (shape.length > MAX_TENSOR_RANK) {
    throw invalid("INVALID_SHAPE", name, `expected at most ${MAX_TENSOR_RANK} dimensions, got ${shape.length}`, file);
  }
  const offsets = toSizes(entry.get("data_offsets"));
  const [begin = 0, end = -1] = offsets ?? [];
  if (offsets?.length !== 2 || end < begin) {
    const got = describe(entry.get("data_offsets"));
    const problem = `data_offsets must be whole numbers [begin, end] with begin <= end up to 2^53 - 1, got ${got}`;
    throw invalid("INVALID_OFFSETS", name, problem, file);
  }
  // A copy is as long as it must be; a list that grew item by item keeps room for 17, which counts for a million tensors.
  const tensor = { name, dtype, shape: shape.slice(), begin, end };
  checkSize(tensor, file);
  oddities.look(name, entry);
  return tensor;
}

function toDtype(value: JsonValue | undefined, name: string, file: string): Dtype {
  const dtype = typeof value === "string" ? parseDtype(value) : undefined;
  if (dtype !== undefined) return dtype;
  const known = Object.keys(SAFETENSORS_DTYPES).join(", ");
  throw invalid("INVALID_DTYPE", name, `unknown dtype, expected one of ${known}, got ${describe(value)}`, file);
}

/** A list of plain unsigned integers up to 2^53 − 1. */
function toSizes(value: JsonValue | undefined): readonly number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  for (const item of value) if (!Number.isSafeInteger(item)) return undefined;
  return value as number[];
}

function checkSize({ name, dtype, shape, begin, end }: HeaderTensor, file: string): void {
  const count = elementCount(shape);
  const bits = count === undefined ? undefined : count * DTYPE_BITS[dtype];
  if (bits === undefined || !Number.isSafeInteger(bits)) {
    throw invalid("INVALID_SHAPE", name, `shape ${formatShape(shape)} overflows`, file);
  }
  if (bits % 8 !== 0) {
    throw invalid("INVALID_SHAPE", name, `shape ${formatShape(shape)} as ${dtype} does not fill whole bytes`, file);
  }
  if (bits / 8 !== end - begin) {
    const problem = `shape ${formatShape(shape)} as ${dtype} needs ${bits / 8} bytes, data_offsets span ${end - begin}`;
    throw invalid("SIZE_MISMATCH", name, problem, file);
  }
}

/** Tensors must follow each other without holes and end where the file ends. */
function checkLayout(tensors: readonly HeaderTensor[], dataBytes: number, file: string): void {
  let end = 0;
  let previous = "";
  let cut: string | undefined;
  for (const tensor of tensors) {
    const offsets = `data_offsets [${tensor.begin}, ${tensor.end}]`;
    if (tensor.begin > end) {
      throw invalid("DATA_GAP", tensor.name, `${offsets} leave a gap, expected start ${end}`, file);
    }
    if (tensor.begin < end) {
      const shared = Math.min(end, tensor.end) - tensor.begin;
      const problem = `${offsets} overlap ${quote(previous)}, which ends at ${end}, by ${shared} bytes`;
      throw invalid("DATA_OVERLAP", tensor.name, problem, file);
    }
    if (tensor.end > dataBytes) cut ??= tensor.name;
    end = tensor.end;
    previous = tensor.name;
  }
  if (cut !== undefined) {
    const problem = `the data ends early, expected ${end} bytes after the header, got ${dataBytes}`;
    throw new FormatError("DATA_TRUNCATED", problem, { file, subject: cut, hint: "the download may be incomplete" });
  }
  if (end < dataBytes) {
    throw new FormatError("TRAILING_DATA", `${dataBytes - end} bytes follow the last tensor, expected none`, { file });
  }
}

function describe(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) {
    const flat = value.length <= 8 && !value.some((item) => typeof item === "object");
    return flat ? `[${value.map(describe).join(", ")}]` : `a list of ${value.length}`;
  }
  if (value instanceof Map) return "an object";
  if (Number.isNaN(value)) return "a number that is no plain unsigned integer";
  return value === Number.POSITIVE_INFINITY ? "a number above 2^53 - 1" : String(value);
}

function invalid(code: FormatCode, subject: string, problem: string, file: string): FormatError {
  return new FormatError(code, problem, { file, subject });
}
