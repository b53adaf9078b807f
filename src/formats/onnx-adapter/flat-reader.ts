/**
 * FlatBuffers read by range and verified: tables, vectors and strings of a file whose payloads stay on disk.
 *
 * Binary format: https://flatbuffers.dev/internals/ (25.9); primitives by the `flatbuffers` package, which does not verify
 * anything by itself. Every place is checked to lie inside the file and to be aligned, as the C++ verifier does.
 */

import * as flatbuffers from "flatbuffers";
import { FormatError } from "../../core/errors.ts";
import { MAX_TENSOR_RANK } from "../../core/limits.ts";
import type { RandomAccess } from "../byte-source.ts";

const WINDOW_BYTES = 4_096;

/** A table: where it lies and where each of its fields does. */
export interface FlatTable {
  readonly position: number;
  /** Bytes of the table itself. */
  readonly byteLength: number;
  /** Offsets of the fields from the table, in the order of the schema; 0 for one that is absent. */
  readonly fields: readonly number[];
}

/** A vector or string: where its first element lies. */
export interface FlatVector {
  readonly start: number;
  readonly length: number;
}

export class FlatReader {
  readonly #source: RandomAccess;
  #window = new flatbuffers.ByteBuffer(new Uint8Array());
  #windowStart = 0;

  constructor(source: RandomAccess) {
    this.#source = source;
  }

  uint32(position: number): number {
    return this.#at(position, 4).readUint32(position - this.#windowStart);
  }

  int32(position: number): number {
    return this.#at(position, 4).readInt32(position - this.#windowStart);
  }

  int64(position: number): bigint {
    return this.#at(position, 8).readInt64(position - this.#windowStart);
  }

  bytes(start: number, byteLength: number): Uint8Array {
    this.#check(start, byteLength, 1);
    const bytes = new Uint8Array(byteLength);
    this.#source.read(bytes, start);
    return bytes;
  }

  /** The table that the offset at a place leads to. */
  tableAt(position: number): FlatTable {
    const table = this.#follow(position);
    const vtable = table - this.int32(table);
    const vtableBytes = this.#uint16(vtable);
    const byteLength = this.#uint16(vtable + 2);
    if (vtableBytes < 4 || vtableBytes % 2 !== 0) throw this.#invalid(vtable, `a vtable of ${vtableBytes} bytes`);
    this.#check(vtable, vtableBytes, 2);
    this.#check(table, byteLength, 4);
    const fields: number[] = [];
    for (let at = vtable + 4; at < vtable + vtableBytes; at += 2) fields.push(this.#uint16(at));
    return { position: table, byteLength, fields };
  }

  /** Place of a field that takes so many bytes in its table; `undefined` where it is absent. */
  field({ position, byteLength, fields }: FlatTable, index: number, fieldBytes = 4): number | undefined {
    const offset = fields[index] ?? 0;
    if (offset === 0) return undefined;
    if (offset + fieldBytes > byteLength) throw this.#invalid(position + offset, "a field outside of its table");
    return position + offset;
  }

  /** The vector or string that the offset at a place leads to; its elements lie inside the file. */
  vectorAt(position: number, elementBytes: number): FlatVector {
    const at = this.#follow(position);
    const length = this.uint32(at);
    this.#check(at + 4, length * elementBytes, 1);
    return { start: at + 4, length };
  }

  /** A vector of 64-bit sizes; NaN for one that no number holds. */
  sizesAt(position: number): number[] {
    const { start, length } = this.vectorAt(position, 8);
    if (length > MAX_TENSOR_RANK) throw this.#invalid(start, `${length} dimensions`);
    return Array.from({ length }, (_, index) => {
      const size = Number(this.int64(start + index * 8));
      return Number.isSafeInteger(size) && size >= 0 ? size : Number.NaN;
    });
  }

  #uint16(position: number): number {
    return this.#at(position, 2).readUint16(position - this.#windowStart);
  }

  /** Offsets are unsigned and count from where they stand. */
  #follow(position: number): number {
    return position + this.uint32(position);
  }

  /** The window, holding so many bytes from a place. */
  #at(position: number, byteLength: number): flatbuffers.ByteBuffer {
    this.#check(position, byteLength, byteLength === 8 ? 4 : byteLength);
    const offset = position - this.#windowStart;
    if (offset < 0 || offset + byteLength > this.#window.capacity()) {
      const bytes = new Uint8Array(Math.min(WINDOW_BYTES, this.#source.size - position));
      this.#source.read(bytes, position);
      this.#window = new flatbuffers.ByteBuffer(bytes);
      this.#windowStart = position;
    }
    return this.#window;
  }

  #check(position: number, byteLength: number, alignment: number): void {
    if (position < 0 || position + byteLength > this.#source.size) {
      throw this.#invalid(position, `${byteLength} bytes that reach beyond the file, which has ${this.#source.size}`);
    }
    if (position % alignment !== 0) throw this.#invalid(position, `expected a multiple of ${alignment}`);
  }

  #invalid(position: number, problem: string): FormatError {
    return new FormatError("INVALID_OFFSETS", `invalid FlatBuffer at byte ${position}: ${problem}`, {
      file: this.#source.path,
      hint: "the download may be incomplete",
    });
  }
}
