/**
 * The header of a GGUF file, versions 2 and 3 (ggml docs/gguf.md): magic, version, counts, key-value pairs, tensor infos.
 *
 * As strict as llama.cpp, which wants every offset to be the running sum of padded sizes; data may be followed by more.
 * Refused besides: version 1, big-endian files, empty or duplicate names, dimensions above 2^53 − 1.
 */

import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { MAX_GGUF_ALIGNMENT } from "../../core/limits.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { RandomAccess } from "../byte-source.ts";
import { GgufCursor } from "./cursor.ts";
import { ALIGNMENT_KEY, MIN_PAIR_BYTES, readMetadata } from "./metadata.ts";
import { GGML_TYPES, type GgmlType } from "./types.ts";

export const MAGIC = [0x47, 0x47, 0x55, 0x46] as const;
export const DEFAULT_ALIGNMENT = 32;
export const MAX_DIMENSIONS = 4;
/** Length, one character, number of dimensions, one dimension, type, offset. */
const MIN_INFO_BYTES = 33;

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Outermost first: the reverse of the file's order. */
  readonly shape: Shape;
  readonly byteLength: number;
  /** From the start of the file. */
  readonly offset: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of the file. */
  readonly tensors: readonly GgufTensor[];
  readonly warnings: readonly string[];
}

/** @throws {FormatError | UnsupportedError} for anything that llama.cpp would not load */
export function readHeader(source: RandomAccess): GgufHeader {
  const cursor = new GgufCursor(source);
  const magic = cursor.view(MAGIC.length);
  if (!MAGIC.every((byte, at) => magic.getUint8(at) === byte)) {
    throw new FormatError("WRONG_FORMAT", "is no GGUF file: it does not start with GGUF", { file: source.path });
  }
  checkVersion(cursor.u32(), source.path);
  // Both counts stand before the pairs: the pairs' own bytes come on top and are checked as they are read.
  const tensorCount = cursor.count(MIN_INFO_BYTES, "tensors");
  const pairCount = cursor.count(MIN_PAIR_BYTES, "key-value pairs");
  const metadata = readMetadata(cursor, pairCount);
  const alignment = alignmentOf(metadata, cursor);
  const infos: Info[] = [];
  const names = new Set<string>();
  for (let index = 0; index < tensorCount; index++) infos.push(readInfo(cursor, names));
  const dataStart = padded(cursor.position, alignment);
  const { tensors, end } = placeTensors(infos, dataStart, alignment, cursor, source);
  const long = infos.filter(({ name }) => name.length >= 64).length;
  const spare = source.size - end;
  return {
    metadata,
    tensors,
    warnings: [
      ...(long === 0 ? [] : [`${long} tensor names take 64 characters or more, which llama.cpp refuses`]),
      ...(tensors.length === 0 || spare < alignment ? [] : [`${spare} bytes follow the last tensor`]),
    ],
  };
}

function checkVersion(version: number, file: string): void {
  if (version === 2 || version === 3) return;
  const isTurned = version !== 0 && (version & 0xffff) === 0;
  const problem = isTurned
    ? "the file is big-endian, expected little-endian"
    : `GGUF version ${version}, expected 2 or 3`;
  throw new UnsupportedError("UNSUPPORTED_FORMAT", problem, { file });
}

function alignmentOf(metadata: ReadonlyMap<string, string>, cursor: GgufCursor): number {
  const text = metadata.get(ALIGNMENT_KEY);
  if (text === undefined) return DEFAULT_ALIGNMENT;
  const alignment = Number(text);
  if (alignment > 0 && alignment <= MAX_GGUF_ALIGNMENT && Number.isInteger(Math.log2(alignment))) return alignment;
  const expected = `a power of 2 up to ${MAX_GGUF_ALIGNMENT}`;
  throw cursor.error("INVALID_METADATA", `expected ${expected} for ${ALIGNMENT_KEY}, got ${text}`);
}

interface Info {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: Shape;
  readonly byteLength: number;
  readonly offset: bigint;
}

function readInfo(cursor: GgufCursor, names: Set<string>): Info {
  const name = cursor.text("the name of a tensor");
  if (name === "") throw cursor.error("INVALID_METADATA", "a tensor has no name");
  if (names.has(name)) throw cursor.error("DUPLICATE_KEY", `the tensor ${quote(name)} stands twice`);
  names.add(name);
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    const expected = `1 to ${MAX_DIMENSIONS} dimensions`;
    throw cursor.error("INVALID_SHAPE", `${quote(name)}: expected ${expected}, got ${dimensions}`);
  }
  const shape = Array.from({ length: dimensions }, () => Number(cursor.u64())).reverse();
  const count = shape.every(Number.isSafeInteger) ? elementCount(shape) : undefined;
  const code = cursor.u32();
  const type = GGML_TYPES.get(code);
  if (type === undefined) throw cursor.error("INVALID_DTYPE", `${quote(name)}: ggml has no type ${code}`);
  const byteLength = count === undefined ? undefined : (count / type.block) * type.bytes;
  if (byteLength === undefined || !Number.isSafeInteger(byteLength) || (shape.at(-1) ?? 0) % type.block !== 0) {
    const problem = `${quote(name)}: ${formatShape(shape)} is no shape of a tensor of ${type.name}`;
    throw cursor.error("INVALID_SHAPE", problem);
  }
  return { name, type, shape, byteLength, offset: cursor.u64() };
}

function placeTensors(
  infos: readonly Info[],
  dataStart: number,
  alignment: number,
  cursor: GgufCursor,
  source: RandomAccess,
): { readonly tensors: readonly GgufTensor[]; readonly end: number } {
  let [next, end] = [0, dataStart];
  const tensors = infos.map(({ offset, ...info }) => {
    if (offset !== BigInt(next)) {
      const problem = `${quote(info.name)}: expected offset ${next}, where the tensor before it ends, got ${offset}`;
      throw cursor.error("INVALID_OFFSETS", problem);
    }
    end = dataStart + next + info.byteLength;
    // Also what keeps the sum far below 2^53.
    if (end > source.size) {
      throw new FormatError("DATA_TRUNCATED", `ends at byte ${end}, the file at ${source.size}`, {
        file: source.path,
        subject: info.name,
        hint: "the download may be incomplete",
      });
    }
    const tensor = { ...info, offset: dataStart + next };
    next = padded(next + info.byteLength, alignment);
    return tensor;
  });
  return { tensors, end };
}

export function padded(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}
