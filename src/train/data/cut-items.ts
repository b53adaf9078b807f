/**
 * Bytes of a `.json` file that holds an array → its items, without reading the file as one text.
 *
 * Only brackets, strings and commas are looked at; what is wrong inside an item is its parser's to say.
 */

import { FormatError } from "../../core/errors.ts";
import { type Cut, checkRowSize } from "./records.ts";

const [TAB, LINE_FEED, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
const [QUOTE, COMMA, BACKSLASH] = [0x22, 0x2c, 0x5c];
const [LIST, LIST_END, OBJECT, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];

/** @throws {FormatError} INVALID_JSON for a file that is no array or does not end; INVALID_ROW for an item that is too long */
export function* cutItems(chunks: Iterable<Uint8Array>, file: string): Generator<Cut> {
  const cutter = new ItemCutter(file);
  for (const chunk of chunks) yield* cutter.push(chunk);
  cutter.end();
}

class ItemCutter {
  readonly #file: string;
  #line = 1;
  /** 0 before the array, 1 among its items, more inside of one, −1 behind it. */
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Bytes of the item that earlier chunks held. */
  #parts: Uint8Array[] = [];
  #length = 0;
  /** Line of the item's first byte; 0 where none has come. */
  #itemLine = 0;
  #items = 0;

  constructor(file: string) {
    this.#file = file;
  }

  *push(chunk: Uint8Array): Generator<Cut> {
    let start = 0;
    for (let at = 0; at < chunk.byteLength; at++) {
      const byte = chunk[at] ?? 0;
      if (byte === LINE_FEED) this.#line++;
      if (this.#inString) {
        this.#inString = this.#escaped || byte !== QUOTE;
        this.#escaped = !this.#escaped && byte === BACKSLASH;
        continue;
      }
      if (byte === SPACE || byte === LINE_FEED || byte === RETURN || byte === TAB) continue;
      if (this.#depth <= 0) {
        this.#outside(byte);
        start = at + 1;
      } else if (this.#depth === 1 && (byte === COMMA || byte === LIST_END)) {
        const item = this.#take(chunk.subarray(start, at), byte);
        if (item !== undefined) yield item;
        start = at + 1;
      } else this.#inside(byte);
    }
    if (this.#depth <= 0) return;
    this.#parts.push(new Uint8Array(chunk.subarray(start)));
    this.#length += chunk.byteLength - start;
    checkRowSize(this.#length, { file: this.#file, line: this.#itemLine });
  }

  end(): void {
    if (this.#depth < 0) return;
    throw this.#invalid(
      this.#depth === 0 ? "expected an array of rows, got an empty file" : 'the array does not end, expected "]"',
    );
  }

  /** Before the array or behind it. */
  #outside(byte: number): void {
    if (this.#depth < 0) throw this.#invalid("expected nothing behind the array");
    if (byte !== LIST) {
      const hint = byte === OBJECT ? "rows one a line make a .jsonl file" : undefined;
      throw this.#invalid('expected an array of rows, which starts with "["', hint);
    }
    this.#depth = 1;
  }

  /** The item that ends here; none for an array without items. */
  #take(last: Uint8Array, byte: number): Cut | undefined {
    const bytes = Buffer.concat([...this.#parts, last]);
    const item = { bytes, line: this.#itemLine || this.#line };
    const isEmpty = this.#itemLine === 0;
    [this.#parts, this.#length, this.#itemLine] = [[], 0, 0];
    if (byte === LIST_END) this.#depth = -1;
    checkRowSize(bytes.byteLength, { file: this.#file, line: item.line });
    if (isEmpty && byte === LIST_END && this.#items === 0) return undefined;
    this.#items++;
    return item;
  }

  #inside(byte: number): void {
    if (this.#itemLine === 0) this.#itemLine = this.#line;
    if (byte === QUOTE) this.#inString = true;
    else if (byte === LIST || byte === OBJECT) this.#depth++;
    else if (byte === LIST_END || byte === OBJECT_END) this.#depth--;
  }

  #invalid(problem: string, hint?: string): FormatError {
    const details = { file: this.#file, ...(hint !== undefined && { hint }) };
    return new FormatError("INVALID_JSON", `line ${this.#line}: ${problem}`, details);
  }
}
