/**
 * The header of a GGUF file of version 3 and the places of its tensors, as llama.cpp and `gguf-py` write it.
 *
 * Magic, version, counts; pairs (key, type, value); tensor infos (name, dimensions innermost first, type, offset); data from
 * the next multiple of 32 on, each tensor padded to one.
 */

import { tensorBytes } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import type { FrameEntry, WeightsFrame } from "../weights-frame.ts";
import { DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, padded } from "./header.ts";
import { F32, STRING, U32 } from "./metadata.ts";
import type { GgufPairs } from "./pairs.ts";
import { GGML_TYPES } from "./types.ts";

const VERSION = 3;

export type GgufValue =
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "u32" | "f32"; readonly value: number };

/** llama.cpp refuses longer ones (GGML_MAX_NAME). */
const MAX_NAME_BYTES = 63;

/** Key-value pairs, in the order of the map. */
export function encodePairs(pairs: ReadonlyMap<string, GgufValue>): GgufPairs {
  const writer = new ByteWriter();
  for (const [key, pair] of pairs) writePair(writer, key, pair);
  return { count: pairs.size, bytes: writer.finish() };
}

/**
 * @param alignment of the tensors' data, as `general.alignment` says
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for a dtype that ggml lacks, UNSUPPORTED_FORMAT for names and shapes
 */
export function ggufFrame(
  entries: readonly FrameEntry[],
  pairs: GgufPairs,
  alignment = DEFAULT_ALIGNMENT,
): WeightsFrame {
  const writer = new ByteWriter();
  writer.bytes(Uint8Array.from(MAGIC));
  writer.u32(VERSION);
  writer.u64(entries.length);
  writer.u64(pairs.count);
  writer.bytes(pairs.bytes);
  let end = 0;
  const starts = entries.map((entry) => {
    const start = end;
    writeInfo(writer, entry, start);
    end = padded(start + tensorBytes(entry), alignment);
    return start;
  });
  const header = writer.finish();
  const dataStart = padded(header.length, alignment);
  return { header, offsets: starts.map((start) => dataStart + start), size: dataStart + end };
}

function writePair(writer: ByteWriter, key: string, pair: GgufValue): void {
  writer.text(key);
  if (pair.type === "string") {
    writer.u32(STRING);
    writer.text(pair.value);
  } else if (pair.type === "u32") {
    writer.u32(U32);
    writer.u32(pair.value);
  } else {
    writer.u32(F32);
    writer.f32(pair.value);
  }
}

function writeInfo(writer: ByteWriter, { name, dtype, shape }: FrameEntry, offset: number): void {
  const details = { subject: name };
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    const problem = `llama.cpp takes names of at most ${MAX_NAME_BYTES} bytes, got ${Buffer.byteLength(name)}`;
    throw new UnsupportedError("UNSUPPORTED_FORMAT", problem, details);
  }
  if (shape.length < 1 || shape.length > MAX_DIMENSIONS) {
    const problem = `GGUF takes 1 to ${MAX_DIMENSIONS} dimensions, got ${shape.length}`;
    throw new FormatError("INVALID_SHAPE", problem, details);
  }
  const [code] = [...GGML_TYPES].find(([, type]) => type.dtype === dtype) ?? [];
  if (code === undefined) throw new UnsupportedError("UNSUPPORTED_DTYPE", `GGUF cannot hold ${dtype}`, details);
  writer.text(name);
  writer.u32(shape.length);
  for (const size of shape.toReversed()) writer.u64(size);
  writer.u32(code);
  writer.u64(offset);
}

/** Little-endian numbers one after the other. */
class ByteWriter {
  readonly #parts: Uint8Array[] = [];

  bytes(part: Uint8Array): void {
    this.#parts.push(part);
  }

  u32(value: number): void {
    this.#number(4, (view) => view.setUint32(0, value, true));
  }

  u64(value: number): void {
    this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  f32(value: number): void {
    this.#number(4, (view) => view.setFloat32(0, value, true));
  }

  text(value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.u64(encoded.length);
    this.bytes(encoded);
  }

  finish(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.#parts));
  }

  #number(byteLength: number, set: (view: DataView) => void): void {
    const part = new Uint8Array(byteLength);
    set(new DataView(part.buffer));
    this.#parts.push(part);
  }
}
