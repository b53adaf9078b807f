/**
 * Safetensors headers and small files, byte for byte as the reference writes them (safetensors 0.8, `prepare`).
 *
 * Compact JSON, metadata first and sorted by key (the reference's order is random), tensors in the order of their data,
 * padded with spaces to a multiple of 8; data without gaps.
 */

import { closeSync, openSync } from "node:fs";
import { DTYPE_BITS } from "../../core/dtype.ts";
import { FormatError, toFileError, UnsupportedError } from "../../core/errors.ts";
import { MAX_SAFETENSORS_HEADER_BYTES } from "../../core/limits.ts";
import { elementCount, formatShape } from "../../core/shape.ts";
import { compareCodePoints, isWellFormed } from "../../core/text.ts";
import type { FrameEntry, WeightsFrame } from "../weights-frame.ts";
import { writeAllSync } from "../write-file.ts";
import { dtypeOrdinal, SAFETENSORS_NAMES } from "./dtype.ts";
import { LENGTH_BYTES } from "./header.ts";

/**
 * Length prefix, JSON and padding for tensors in the given order; their data follow it in that order.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for a dtype that the format lacks
 * @throws {FormatError} HEADER_TOO_LARGE; DUPLICATE_KEY for a name that stands twice or is reserved; INVALID_UTF8 for half
 *   a surrogate pair; INVALID_SHAPE for bytes that do not come out whole
 */
export function encodeHeader(entries: readonly FrameEntry[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const members: string[] = [];
  if (metadata.size > 0) {
    const sorted = [...metadata].sort(([a], [b]) => compareCodePoints(a, b));
    members.push(`"__metadata__":{${sorted.map(([key, text]) => `${jsonString(key)}:${jsonString(text)}`).join(",")}}`);
  }
  const names = new Set(["__metadata__"]);
  let begin = 0;
  for (const { name, dtype, shape } of entries) {
    if (names.has(name)) {
      throw new FormatError("DUPLICATE_KEY", "the name is reserved or stands twice", { subject: name });
    }
    names.add(name);
    const end = begin + byteLength({ name, dtype, shape });
    const code = SAFETENSORS_NAMES[dtype];
    if (code === undefined) {
      throw new UnsupportedError("UNSUPPORTED_DTYPE", `safetensors cannot hold ${dtype}`, { subject: name });
    }
    members.push(
      `${jsonString(name)}:{"dtype":"${code}","shape":[${shape.join(",")}],"data_offsets":[${begin},${end}]}`,
    );
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > MAX_SAFETENSORS_HEADER_BYTES) {
    const problem = `the header takes ${padded} bytes, expected at most ${MAX_SAFETENSORS_HEADER_BYTES}`;
    throw new FormatError("HEADER_TOO_LARGE", problem);
  }
  const header = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, LENGTH_BYTES);
  return header;
}

/** Header and places of tensors in the given order. */
export function safetensorsFrame(entries: readonly FrameEntry[], metadata: ReadonlyMap<string, string>): WeightsFrame {
  const header = encodeHeader(entries, metadata);
  let size = header.length;
  const offsets = entries.map((entry) => {
    const offset = size;
    size += byteLength(entry);
    return offset;
  });
  return { header, offsets, size };
}

/** The reference's order: dtype by alignment, descending, then the name's UTF-8 bytes. */
export function canonicalOrder<Entry extends FrameEntry>(entries: readonly Entry[]): Entry[] {
  return [...entries].sort(
    (a, b) => dtypeOrdinal(b.dtype) - dtypeOrdinal(a.dtype) || compareCodePoints(a.name, b.name),
  );
}

/** Writes tensors that are in memory, in canonical order; an existing file is replaced. Publishing is up to the caller. */
export function writeSafetensors(
  path: string,
  tensors: readonly (FrameEntry & { readonly bytes: Uint8Array })[],
  metadata: ReadonlyMap<string, string>,
): void {
  const ordered = canonicalOrder(tensors);
  const header = encodeHeader(ordered, metadata);
  for (const tensor of ordered) assertWhole(tensor, path);
  let fd: number | undefined;
  try {
    fd = openSync(path, "w");
    let position = 0;
    for (const bytes of [header, ...ordered.map((tensor) => tensor.bytes)]) {
      writeAllSync(fd, bytes, position, path);
      position += bytes.byteLength;
    }
  } catch (error) {
    throw toFileError(error, path);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function assertWhole(tensor: FrameEntry & { readonly bytes: Uint8Array }, file: string): void {
  const [expected, got] = [byteLength(tensor), tensor.bytes.byteLength];
  if (expected === got) return;
  const problem = `shape ${formatShape(tensor.shape)} as ${tensor.dtype} needs ${expected} bytes, got ${got}`;
  throw new FormatError("SIZE_MISMATCH", problem, { file, subject: tensor.name });
}

function byteLength({ name, dtype, shape }: FrameEntry): number {
  const bits = (elementCount(shape) ?? Number.NaN) * DTYPE_BITS[dtype];
  if (bits % 8 === 0) return bits / 8;
  const problem = `shape ${formatShape(shape)} as ${dtype} does not fill whole bytes`;
  throw new FormatError("INVALID_SHAPE", problem, { subject: name });
}

/** serde_json escapes what `JSON.stringify` does, with lower-case hexadecimal, and cannot hold half a surrogate pair. */
function jsonString(text: string): string {
  if (isWellFormed(text)) return JSON.stringify(text);
  throw new FormatError("INVALID_UTF8", "holds half a surrogate pair, which has no UTF-8 form", { subject: text });
}
