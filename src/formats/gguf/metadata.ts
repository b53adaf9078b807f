/**
 * The key-value pairs of a GGUF header, as text. Arrays (vocabularies, merges) are passed over, checked for their length.
 */

import { quote } from "../../core/text.ts";
import type { GgufCursor } from "./cursor.ts";

/** Length, one character, type, one byte. */
export const MIN_PAIR_BYTES = 14;
const MAX_KEY_BYTES = 65_535;

export const STRING = 8;
const ARRAY = 9;

interface Scalar {
  readonly bytes: number;
  readonly read: (view: DataView) => number | bigint | boolean;
}

/** Value types with a fixed size, by code. */
const SCALARS: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [0, { bytes: 1, read: (view) => view.getUint8(0) }],
  [1, { bytes: 1, read: (view) => view.getInt8(0) }],
  [2, { bytes: 2, read: (view) => view.getUint16(0, true) }],
  [3, { bytes: 2, read: (view) => view.getInt16(0, true) }],
  [4, { bytes: 4, read: (view) => view.getUint32(0, true) }],
  [5, { bytes: 4, read: (view) => view.getInt32(0, true) }],
  [6, { bytes: 4, read: (view) => view.getFloat32(0, true) }],
  [7, { bytes: 1, read: (view) => view.getUint8(0) !== 0 }],
  [10, { bytes: 8, read: (view) => view.getBigUint64(0, true) }],
  [11, { bytes: 8, read: (view) => view.getBigInt64(0, true) }],
  [12, { bytes: 8, read: (view) => view.getFloat64(0, true) }],
]);

export const U32 = 4;
export const F32 = 6;
export const ALIGNMENT_KEY = "general.alignment";

/** @throws {FormatError} INVALID_METADATA, DUPLICATE_KEY, HEADER_TRUNCATED, INVALID_UTF8 */
export function readMetadata(cursor: GgufCursor, count: number): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const key = cursor.text("a key");
    if (key === "" || key.length > MAX_KEY_BYTES) {
      throw cursor.error("INVALID_METADATA", `expected a key of 1 to ${MAX_KEY_BYTES} bytes, got ${key.length}`);
    }
    if (metadata.has(key)) throw cursor.error("DUPLICATE_KEY", `the key ${quote(key)} stands twice`);
    const type = cursor.u32();
    if (key === ALIGNMENT_KEY && type !== U32) {
      throw cursor.error("INVALID_METADATA", `expected a u32 for ${key}, got type ${type}`);
    }
    metadata.set(key, readValue(cursor, type, key));
  }
  return metadata;
}

function readValue(cursor: GgufCursor, type: number, key: string): string {
  if (type === STRING) return cursor.text(`the value of ${quote(key)}`);
  if (type === ARRAY) return skipArray(cursor, key);
  const scalar = scalarOf(cursor, type, key);
  return String(scalar.read(cursor.view(scalar.bytes)));
}

/** How many elements there were, as the array's text. */
function skipArray(cursor: GgufCursor, key: string): string {
  const type = cursor.u32();
  const what = `elements of ${quote(key)}`;
  if (type === STRING) {
    const count = cursor.count(8, what);
    for (let index = 0; index < count; index++) cursor.skipText(`an element of ${quote(key)}`);
    return `[${count} texts]`;
  }
  const { bytes } = scalarOf(cursor, type, key);
  const count = cursor.count(bytes, what);
  cursor.skip(count * bytes);
  return `[${count} numbers]`;
}

/** Arrays of arrays are no scalars: llama.cpp refuses them too. */
function scalarOf(cursor: GgufCursor, type: number, key: string): Scalar {
  const scalar = SCALARS.get(type);
  if (scalar === undefined) throw cursor.error("INVALID_METADATA", `${quote(key)} has a value of unknown type ${type}`);
  return scalar;
}
