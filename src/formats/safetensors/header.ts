/**
 * The header of a safetensors file, checked: u64 length N, N bytes of JSON, then data.
 *
 * Follows `read_metadata` and `Metadata::validate` of safetensors 0.8 (safetensors/src/tensor.rs) and is stricter in
 * exactly: duplicate keys (the specification disallows them, the reference keeps the last), entries as positional
 * arrays, dimensions and offsets above 2^53 − 1, and tensors of more than 64 dimensions.
 */

import { DTYPE_BITS, type Dtype } from "../../core/dtype.ts";
import { FormatError, type FormatCode } from "../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { parseJsonMembers } from "../../core/json-parser.ts";
import { MAX_SAFETENSORS_HEADER_BYTES, MAX_TENSOR_RANK } from "../../core/limits.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import { escapeText, quote } from "../../core/text.ts";
import { parseDtype, SAFETENSORS_DTYPES } from "./dtype.ts";

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
    throw new FormatError("INVALID_JSON", "the header is padded with NUL instead of spaces", {
      file,
      hint: "the program that wrote it is at fault; load and save it again with Python's safetensors",
    });
  }
  const tensors: HeaderTensor[] = [];
  const warnings: string[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  parseJsonMembers(json, { file, sizesOnly: true }, (key, value) => {
    if (key === "__metadata__") metadata = parseMetadata(value, file, warnings);
    else tensors.push(parseEntry(key, value, file, warnings));
  });
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(tensors, dataBytes, file);
  return { tensors, metadata, warnings };
}

function parseMetadata(value: JsonValue, file: string, warnings: string[]): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (value === null) {
    warnings.push(`${escapeText(file)}: __metadata__ is null`);
    return metadata;
  }
  if (!(value instanceof Map)) throw invalid("INVALID_METADATA", "__metadata__", "expected a map of strings", file);
  for (const [key, text] of value as JsonObject) {
    if (typeof text !== "string") {
      throw invalid("INVALID_METADATA", "__metadata__", `${quote(key)} must be a string`, file);
    }
    metadata.set(key, text);
  }
  return metadata;
}

const FIELDS: ReadonlySet<string> = new Set(["dtype", "shape", "data_offsets"]);

function parseEntry(name: string, value: JsonValue, file: string, warnings: string[]): HeaderTensor {
  if (!(value instanceof Map)) throw invalid("INVALID_JSON", name, "expected dtype, shape and data_offsets", file);
  const entry = value as JsonObject;
  for (const key of entry.keys()) {
    if (!FIELDS.has(key)) warnings.push(`${escapeText(file)}: ${quote(name)}: unknown field ${quote(key)}`);
  }
  const dtypeName = entry.get("dtype");
  const dtype = typeof dtypeName === "string" ? parseDtype(dtypeName) : undefined;
  if (dtype === undefined) {
    const got = typeof dtypeName === "string" ? quote(dtypeName) : "none";
    const known = Object.keys(SAFETENSORS_DTYPES).join(", ");
    throw invalid("INVALID_DTYPE", name, `unknown dtype, expected one of ${known}, got ${got}`, file);
  }
  const shape = parseSizes(entry.get("shape"));
  if (shape === undefined) throw invalid("INVALID_SHAPE", name, "shape must be a list of whole numbers", file);
  if (shape.length > MAX_TENSOR_RANK) {
    throw invalid("INVALID_SHAPE", name, `expected at most ${MAX_TENSOR_RANK} dimensions, got ${shape.length}`, file);
  }
  const [begin, end, ...more] = parseSizes(entry.get("data_offsets")) ?? [];
  if (begin === undefined || end === undefined || more.length > 0 || end < begin) {
    throw invalid("INVALID_OFFSETS", name, "data_offsets must be two whole numbers [begin, end], begin ≤ end", file);
  }
  checkSize({ name, dtype, shape, begin, end }, file);
  return { name, dtype, shape, begin, end };
}

/** A list of plain unsigned integers up to 2^53 − 1. */
function parseSizes(value: JsonValue | undefined): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.every((item) => Number.isSafeInteger(item)) ? (value as number[]) : undefined;
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
  for (const tensor of tensors) {
    const offsets = `data_offsets [${tensor.begin}, ${tensor.end}]`;
    if (tensor.begin > end) {
      throw invalid("DATA_GAP", tensor.name, `${offsets} leave a gap, expected start ${end}`, file);
    }
    if (tensor.begin < end) {
      throw invalid("DATA_OVERLAP", tensor.name, `${offsets} overlap ${quote(previous)}, which ends at ${end}`, file);
    }
    if (tensor.end > dataBytes) {
      const problem = `${offsets} reach past the file, which holds ${dataBytes} bytes of data`;
      throw new FormatError("DATA_TRUNCATED", problem, {
        file,
        subject: tensor.name,
        hint: "the download may be incomplete",
      });
    }
    end = tensor.end;
    previous = tensor.name;
  }
  if (end < dataBytes) {
    throw new FormatError("TRAILING_DATA", `${dataBytes - end} bytes follow the last tensor, expected none`, { file });
  }
}

function invalid(code: FormatCode, subject: string, problem: string, file: string): FormatError {
  return new FormatError(code, problem, { file, subject });
}
