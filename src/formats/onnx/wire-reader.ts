/**
 * Protobuf messages read by range, through a window that moves over the file: payloads are stepped over, never loaded.
 *
 * Wire format: https://protobuf.dev/programming-guides/encoding/ , primitives by the minimal reader of protobufjs. Lengths
 * are read as 64 bits: protobufjs alone would cut them to 32. Refused: truncation, field number 0, reserved wire types,
 * groups that do not match, nesting beyond `MAX_PROTOBUF_DEPTH`, more messages or text than fit in memory.
 */

import protobuf from "protobufjs/minimal.js";
import { FormatError } from "../../core/errors.ts";
import { MAX_ONNX_MESSAGES, MAX_ONNX_TEXT_BYTES, MAX_PROTOBUF_DEPTH } from "../../core/limits.ts";
import type { RandomAccess } from "../byte-source.ts";
import { decodeText } from "./text.ts";
import { END_GROUP, FIXED32, FIXED64, type Field, LENGTH_DELIMITED, type Span, START_GROUP, VARINT } from "./wire.ts";

const WINDOW_BYTES = 32 * 1024;
/** The longest primitive: a varint of 64 bits. */
const MAX_PRIMITIVE_BYTES = 10;
/** What a text takes in memory besides its characters: a two-byte field must not become an unbounded list. */
const TEXT_OVERHEAD_BYTES = 16;

export class WireReader {
  readonly path: string;
  /** The file as a message. */
  readonly root: Span;
  readonly #source: RandomAccess;
  #window: protobuf.Reader = protobuf.Reader.create(new Uint8Array());
  #windowStart = 0;
  #messages = 0;
  #textBytes = 0;

  constructor(source: RandomAccess) {
    this.path = source.path;
    this.#source = source;
    this.root = { field: 0, tagStart: 0, start: 0, end: source.size, parent: undefined, depth: 0 };
  }

  /** The fields of a message in the order of the file. Several parts are one message, as protobuf merges them. */
  *fields(parts: readonly Span[]): Generator<Field> {
    for (const part of parts) {
      let at = part.start;
      while (at < part.end) {
        const field = this.#field(at, part);
        yield field;
        at = field.end;
      }
    }
  }

  /** The message that a length-delimited field holds. */
  child({ tag, tagStart, start, end, message }: Field): Span {
    const depth = message.depth + 1;
    if (depth > MAX_PROTOBUF_DEPTH) throw this.#invalid(tagStart, `nested deeper than ${MAX_PROTOBUF_DEPTH} messages`);
    this.#messages++;
    if (this.#messages > MAX_ONNX_MESSAGES) throw this.#tooLarge(`more than ${MAX_ONNX_MESSAGES} messages`);
    return { field: tag >>> 3, tagStart, start, end, parent: message, depth };
  }

  /** A signed 64-bit varint. */
  int64(field: Field): bigint {
    const { low, high } = this.#varint(field.start, field.end);
    return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
  }

  /** A signed 64-bit varint as a number; beyond ±2^53 it is rounded, which no caller may take for a size. */
  number(field: Field): number {
    const { low, high } = this.#varint(field.start, field.end);
    return high * 2 ** 32 + (low >>> 0);
  }

  float(field: Field): number {
    return this.#at(field.start, 4).float();
  }

  text(field: Field): string {
    this.#textBytes += field.end - field.start + TEXT_OVERHEAD_BYTES;
    if (this.#textBytes > MAX_ONNX_TEXT_BYTES) throw this.#tooLarge(`more than ${MAX_ONNX_TEXT_BYTES} bytes of text`);
    const length = field.end - field.start;
    if (length > WINDOW_BYTES) return decodeText(this.bytes(field.start, field.end));
    const { buf, pos } = this.#at(field.start, length);
    return decodeText(buf.subarray(pos, pos + length));
  }

  /** A copy of the bytes of a range. */
  bytes(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - start);
    if (bytes.length <= WINDOW_BYTES) {
      const { buf, pos } = this.#at(start, bytes.length);
      bytes.set(buf.subarray(pos, pos + bytes.length));
    } else this.#source.read(bytes, start);
    return bytes;
  }

  /** The values of a repeated varint field, packed or not, as the two halves of 64 bits. */
  forEachVarint({ tag, start, end }: Field, visit: (low: number, high: number) => void): void {
    let at = start;
    while (at < end) {
      const { low, high } = this.#varint(at, end);
      visit(low, high);
      at = this.#position;
    }
    if ((tag & 7) === VARINT && at !== end) throw this.#invalid(start, "a varint that does not end where it ends");
  }

  get #position(): number {
    return this.#windowStart + this.#window.pos;
  }

  #field(tagStart: number, message: Span): Field {
    const tag = this.#tag(tagStart, message.end);
    const start = this.#position;
    switch (tag & 7) {
      case START_GROUP:
        return { tag, tagStart, start, end: this.#groupEnd(tag, start, message.end), message };
      case END_GROUP:
        throw this.#invalid(tagStart, "the end of a group that never started");
      default: {
        const value = this.#value(tag, start, message.end);
        return { tag, tagStart, ...value, message };
      }
    }
  }

  #tag(at: number, limit: number): number {
    let tag: number;
    try {
      tag = this.#at(at, MAX_PRIMITIVE_BYTES).tag();
    } catch (cause) {
      throw this.#invalid(at, "a tag that is cut off or too long", cause);
    }
    if (tag >>> 3 === 0) throw this.#invalid(at, "field number 0");
    if (this.#position > limit) throw this.#truncated(at, limit);
    return tag;
  }

  /** The range of a value that is no group. */
  #value(tag: number, start: number, limit: number): { readonly start: number; readonly end: number } {
    let from = start;
    let end: number;
    switch (tag & 7) {
      case VARINT:
        this.#varint(start, limit);
        end = this.#position;
        break;
      case FIXED64:
        end = start + 8;
        break;
      case FIXED32:
        end = start + 4;
        break;
      case LENGTH_DELIMITED: {
        const { low, high } = this.#varint(start, limit);
        from = this.#position;
        end = from + (high >>> 0) * 2 ** 32 + (low >>> 0);
        break;
      }
      default:
        throw this.#invalid(start, `wire type ${tag & 7}, which protobuf does not have`);
    }
    if (end > limit) throw this.#truncated(start, limit);
    return { start: from, end };
  }

  /** Steps over a group, which only unknown fields use; without recursion. */
  #groupEnd(tag: number, start: number, limit: number): number {
    const open = [tag >>> 3];
    let at = start;
    while (open.length > 0) {
      const inner = this.#tag(at, limit);
      const wireType = inner & 7;
      if (wireType === START_GROUP) {
        open.push(inner >>> 3);
        if (open.length > MAX_PROTOBUF_DEPTH)
          throw this.#invalid(at, `nested deeper than ${MAX_PROTOBUF_DEPTH} groups`);
        at = this.#position;
      } else if (wireType === END_GROUP) {
        if (open.pop() !== inner >>> 3) throw this.#invalid(at, "the end of another group");
        at = this.#position;
      } else at = this.#value(inner, this.#position, limit).end;
    }
    return at;
  }

  #varint(at: number, limit: number): { readonly low: number; readonly high: number } {
    const window = this.#at(at, MAX_PRIMITIVE_BYTES);
    const first = window.buf[window.pos] ?? 0x80;
    if (first < 0x80 && at < limit) {
      // Nearly all lengths and codes, without the object that holds 64 bits.
      window.pos++;
      return { low: first, high: 0 };
    }
    try {
      const value = window.int64();
      if (this.#position <= limit) return value;
    } catch (cause) {
      throw this.#invalid(at, "a varint that is cut off or longer than ten bytes", cause);
    }
    throw this.#truncated(at, limit);
  }

  /** The window at a place, holding that many bytes from it unless the file ends. */
  #at(position: number, byteLength: number): protobuf.Reader {
    const offset = position - this.#windowStart;
    const needed = Math.min(byteLength, this.#source.size - position);
    if (offset < 0 || offset + needed > this.#window.len) {
      const bytes = new Uint8Array(Math.max(0, Math.min(WINDOW_BYTES, this.#source.size - position)));
      this.#source.read(bytes, position);
      this.#window = protobuf.Reader.create(bytes);
      this.#windowStart = position;
    }
    this.#window.pos = position - this.#windowStart;
    return this.#window;
  }

  #truncated(at: number, limit: number): FormatError {
    return this.#invalid(at, `a field that reaches beyond its message, which ends at byte ${limit}`);
  }

  #tooLarge(problem: string): FormatError {
    return new FormatError("HEADER_TOO_LARGE", `the model holds ${problem}`, { file: this.path });
  }

  #invalid(at: number, problem: string, cause?: unknown): FormatError {
    return new FormatError("INVALID_PROTOBUF", `invalid protobuf at byte ${at}: ${problem}`, {
      file: this.path,
      hint: "the download may be incomplete",
      cause,
    });
  }
}
