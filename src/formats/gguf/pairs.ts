/**
 * The key-value pairs of a GGUF file as bytes, so that a file can be written again with one of them changed and every other
 * one as it was, arrays and all.
 */

import { accessTo, withFile } from "../byte-source.ts";
import { GgufCursor } from "./cursor.ts";
import { MAGIC } from "./header.ts";
import { F32, readMetadata } from "./metadata.ts";

/** So many pairs, one after the other. */
export interface GgufPairs {
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Magic, version, number of tensors, number of pairs. */
const COUNTS_BYTES = MAGIC.length + 4 + 8 + 8;

/**
 * The pairs of a file, with an f32 set: in its place where the key is there, else at the end.
 *
 * @param path of a file that was opened before, and so checked
 */
export function pairsWithF32(path: string, key: string, value: number): GgufPairs {
  return withFile(path, (file) => {
    const source = accessTo(file, path);
    const cursor = new GgufCursor(source);
    cursor.skip(COUNTS_BYTES - 8);
    const count = Number(cursor.u64());
    const parts: Uint8Array[] = [];
    let found = false;
    for (let index = 0; index < count; index++) {
      const start = cursor.position;
      const [name] = [...readMetadata(cursor, 1).keys()];
      found ||= name === key;
      const bytes = new Uint8Array(cursor.position - start);
      source.read(bytes, start);
      parts.push(name === key ? f32Pair(key, value) : bytes);
    }
    if (!found) parts.push(f32Pair(key, value));
    return { count: parts.length, bytes: Uint8Array.from(Buffer.concat(parts)) };
  });
}

/** Length and text of the key, type, value. */
function f32Pair(key: string, value: number): Uint8Array {
  const name = new TextEncoder().encode(key);
  const bytes = new Uint8Array(8 + name.length + 4 + 4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(name.length), true);
  bytes.set(name, 8);
  view.setUint32(8 + name.length, F32, true);
  view.setFloat32(12 + name.length, value, true);
  return bytes;
}
