/**
 * Reads the fields of a GGUF header one after the other. The header does not say how long it is, so the file is read in
 * growing pieces; every length is held against the rest of the file before it is used.
 */

import { FormatError } from "../../core/errors.ts";
import { MAX_GGUF_HEADER_BYTES, MAX_GGUF_STRING_BYTES } from "../../core/limits.ts";
import type { RandomAccess } from "../byte-source.ts";

const FIRST_BYTES = 64 * 1024;

export class GgufCursor {
  readonly #source: RandomAccess;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  constructor(source: RandomAccess) {
    this.#source = source;
  }

  /** Bytes before the next field. */
  get position(): number {
    return this.#at;
  }

  /** Bytes of the file behind `position`. */
  get remaining(): number {
    return this.#source.size - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.skip(1));
  }

  u32(): number {
    const at = this.skip(4);
    return this.#view.getUint32(at, true);
  }

  u64(): bigint {
    const at = this.skip(8);
    return this.#view.getBigUint64(at, true);
  }

  /** The next `count` bytes, for numbers of other types. */
  view(count: number): DataView {
    const at = this.skip(count);
    return new DataView(this.#bytes.buffer, at, count);
  }

  /** A count of things that take at least `least` bytes each. */
  count(least: number, what: string): number {
    const count = this.u64();
    if (count > BigInt(Math.floor(this.remaining / least))) {
      throw this.error("HEADER_TRUNCATED", `${count} ${what} do not fit into the ${this.remaining} bytes that follow`);
    }
    return Number(count);
  }

  /** u64 length and UTF-8, as text. */
  text(what: string): string {
    const bytes = this.#stringBytes(what);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (cause) {
      throw this.error("INVALID_UTF8", `${what} is not valid UTF-8`, cause);
    }
  }

  /** Passes over a text without looking at it. */
  skipText(what: string): void {
    this.#stringBytes(what);
  }

  /** Passes over `count` bytes and returns where they start. */
  skip(count: number): number {
    if (count > this.remaining) {
      throw this.error("HEADER_TRUNCATED", `the header ends at byte ${this.#source.size}, expected ${count} more`);
    }
    const [start, end] = [this.#at, this.#at + count];
    if (end > this.#bytes.length) this.#load(end);
    this.#at = end;
    return start;
  }

  error(code: ConstructorParameters<typeof FormatError>[0], problem: string, cause?: unknown): FormatError {
    return new FormatError(code, problem, { file: this.#source.path, cause });
  }

  #stringBytes(what: string): Uint8Array {
    const length = this.count(1, `bytes of ${what}`);
    if (length > MAX_GGUF_STRING_BYTES) {
      throw this.error("HEADER_TOO_LARGE", `${what} takes ${length} bytes, expected at most ${MAX_GGUF_STRING_BYTES}`);
    }
    const start = this.skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  #load(end: number): void {
    if (end > MAX_GGUF_HEADER_BYTES) {
      throw this.error("HEADER_TOO_LARGE", `the header exceeds the limit, ${MAX_GGUF_HEADER_BYTES} bytes`);
    }
    const wanted = Math.max(end, this.#bytes.length * 2, FIRST_BYTES);
    const grown = new Uint8Array(Math.min(wanted, this.#source.size, MAX_GGUF_HEADER_BYTES));
    grown.set(this.#bytes);
    this.#source.read(grown.subarray(this.#bytes.length), this.#bytes.length);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
