/**
 * Safetensors headers and small files, byte for byte as the reference writes them (safetensors 0.8, `prepare`).
 *
 * Compact JSON, metadata first and sorted by key (the reference's order is random), tensors in the order of their data,
 * padded with spaces to a multiple of 8; data without gaps.
 */

import { writeFileSync } from "node:fs";
import { DTYPE_BITS, type Dtype } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { MAX_SAFETENSORS_HEADER_BYTES } from "../../core/limits.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import { dtypeOrdinal, SAFETENSORS_NAMES } from "./dtype.ts";
import { LENGTH_BYTES } from "./header.ts";

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
}

/**
 * Length prefix, JSON and padding for tensors in the given order; their data follow it in that order.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for a dtype that the format lacks
 * @throws {FormatError} HEADER_TOO_LARGE, INVALID_SHAPE for bytes that do not come out whole
 */
export function encodeHeader(entries: readonly HeaderEntry[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const members: string[] = [];
  if (metadata.size > 0) {
    const sorted = [...metadata].sort(([a], [b]) => compareUtf8(a, b));
    members.push(`"__metadata__":{${sorted.map(([key, text]) => `${jsonString(key)}:${jsonString(text)}`).join(",")}}`);
  }
  let begin = 0;
  for (const { name, dtype, shape } of entries) {
    const end = begin + byteLength({ name, dtype, shape });
    const code = SAFETENSORS_NAMES[dtype];
    if (code === undefined) {
      throw new UnsupportedError("UNSUPPORTED_DTYPE", `safetensors cannot hold ${dtype}`, { subject: name });
    }
    members.push(`${jsonString(name)}:{"dtype":"${code}","shape":[${shape.join(",")}],"data_offsets":[${begin},${end}]}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > MAX_SAFETENSORS_HEADER_BYTES) {
    throw new FormatError("HEADER_TOO_LARGE", `the header would take ${padded} bytes, the format allows 100000000`);
  }
  const header = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, LENGTH_BYTES);
  return header;
}

/** The reference's order: dtype by alignment, descending, then the name's UTF-8 bytes. */
export function canonicalOrder<Entry extends HeaderEntry>(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => dtypeOrdinal(b.dtype) - dtypeOrdinal(a.dtype) || compareUtf8(a.name, b.name));
}

/** Writes a small file whole, in canonical order. */
export function writeSafetensors(
  path: string,
  tensors: readonly (HeaderEntry & { readonly bytes: Uint8Array })[],
  metadata: ReadonlyMap<string, string>,
): void {
  const ordered = canonicalOrder(tensors);
  writeFileSync(path, Buffer.concat([encodeHeader(ordered, metadata), ...ordered.map(({ bytes }) => bytes)]));
}

function byteLength({ name, dtype, shape }: HeaderEntry): number {
  const bits = (elementCount(shape) ?? Number.NaN) * DTYPE_BITS[dtype];
  if (bits % 8 === 0) return bits / 8;
  const problem = `shape ${formatShape(shape)} as ${dtype} does not fill whole bytes`;
  throw new FormatError("INVALID_SHAPE", problem, { subject: name });
}

/** Order of the UTF-8 bytes, which is that of code points; JavaScript's own is that of UTF-16 units. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** serde_json escapes what `JSON.stringify` does, with lower-case hexadecimal, and cannot hold half a surrogate pair. */
function jsonString(text: string): string {
  const json = JSON.stringify(text);
  if (!/\\ud[89a-f]/.test(json)) return json;
  throw new FormatError("INVALID_UTF8", "a name holds half a surrogate pair", { subject: text });
}
