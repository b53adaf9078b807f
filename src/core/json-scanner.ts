/**
 * A cursor over a JSON text (RFC 8259): takes one value after the other and refuses everything that the grammar does not
 * have, keys that stand twice in one object, half surrogate pairs, nesting beyond `MAX_JSON_DEPTH` and numbers that no
 * double can hold. Works on character codes: a header of 60 MB is 10 million tokens.
 */

import { FormatError } from "./errors.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import { MAX_JSON_DEPTH } from "./limits.ts";
import { isWellFormed, quote } from "./text.ts";

export interface JsonOptions {
  /** Named in errors. */
  readonly file: string;
  /**
   * Numbers that are not plain unsigned integers become NaN, those above 2^53 − 1 Infinity: for headers whose numbers are
   * sizes, where `4.0`, `-0` and a rounded 2^53 + 1 must not pass.
   */
  readonly sizesOnly?: boolean;
  /**
   * Takes NaN, Infinity and -Infinity, which are not JSON: Python writes them all the same, as in the `time_step_limit` of
   * Mamba 2's config.json.
   */
  readonly pythonNumbers?: boolean;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const PYTHON_NUMBER = /NaN|-?Infinity/y;
const PLAIN_INTEGER = /^(?:0|[1-9]\d*)$/;
/** Every integer of that many digits is a double. */
const EXACT_DIGITS = 15;
const ESCAPE = /\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4})|)/g;
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

const [TAB, LINE_FEED, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [ZERO, NINE, DOT, UPPER_E, LOWER_E] = [0x30, 0x39, 0x2e, 0x45, 0x65];
const [LIST, LIST_END, OBJECT, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];
const [LOWER_F, LOWER_N, LOWER_T] = [0x66, 0x6e, 0x74];

export class JsonScanner {
  readonly #text: string;
  readonly #options: JsonOptions;
  #at = 0;

  constructor(text: string, options: JsonOptions) {
    this.#text = text;
    this.#options = options;
  }

  /** In UTF-16 units from the start of the text. */
  get position(): number {
    return this.#at;
  }

  /** The next value, `depth` levels inside. */
  value(depth: number): JsonValue {
    switch (this.skipSpace()) {
      case OBJECT:
        return this.#object(depth);
      case LIST:
        return this.#list(depth);
      case QUOTE:
        return this.#string();
      case LOWER_T:
        return this.#word("true", true);
      case LOWER_F:
        return this.#word("false", false);
      case LOWER_N:
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  /** Walks the next value, which must be an object; `onKey` is called at each value and must consume it. */
  members(depth: number, onKey: (key: string) => void): void {
    const seen = new Set<string>();
    this.#members(depth, seen, (key) => {
      seen.add(key);
      onKey(key);
    });
  }

  /** Nothing but white space may follow. */
  end(): void {
    this.skipSpace();
    if (this.#at < this.#text.length) throw this.#unexpected("the end of the text");
  }

  /** Goes to the next character that is no white space and returns its code, NaN at the end of the text. */
  skipSpace(): number {
    let code = this.#text.charCodeAt(this.#at);
    while (code === SPACE || code === LINE_FEED || code === RETURN || code === TAB) {
      code = this.#text.charCodeAt(++this.#at);
    }
    return code;
  }

  #object(depth: number): JsonObject {
    const object = new Map<string, JsonValue>();
    this.#members(depth, object, (key) => object.set(key, this.value(depth + 1)));
    return object;
  }

  #members(depth: number, known: { has(key: string): boolean }, onKey: (key: string) => void): void {
    this.#enter(depth);
    this.#expect(OBJECT);
    if (this.#takes(OBJECT_END)) return;
    do {
      this.skipSpace();
      const key = this.#string();
      if (known.has(key)) {
        const details = { file: this.#options.file, subject: key };
        throw new FormatError("DUPLICATE_KEY", "the key stands twice in one object", details);
      }
      this.#expect(COLON);
      this.skipSpace();
      onKey(key);
    } while (this.#continues(OBJECT_END));
  }

  #list(depth: number): JsonValue[] {
    this.#enter(depth);
    this.#expect(LIST);
    const list: JsonValue[] = [];
    if (this.#takes(LIST_END)) return list;
    do list.push(this.value(depth + 1));
    while (this.#continues(LIST_END));
    return list;
  }

  #string(): string {
    this.#expect(QUOTE);
    const start = this.#at;
    let escapes = false;
    for (let at = start; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at);
      if (code === QUOTE) {
        this.#at = at + 1;
        const raw = this.#text.slice(start, at);
        return escapes ? this.#unescape(raw, start) : raw;
      }
      if (code < SPACE) throw this.#invalid("a control character inside a string", at);
      if (code === BACKSLASH) {
        escapes = true;
        at++;
      }
    }
    this.#at = this.#text.length;
    throw this.#unexpected("the end of a string");
  }

  #unescape(raw: string, start: number): string {
    const text = raw.replace(ESCAPE, (_, simple?: string, hex?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (simple === undefined) throw this.#invalid("an unknown escape inside a string", start);
      return ESCAPED.get(simple) ?? simple;
    });
    if (!isWellFormed(text)) throw this.#invalid("half a surrogate pair inside a string", start);
    return text;
  }

  #number(): number {
    const start = this.#at;
    let end = start;
    let value = 0;
    let code = this.#text.charCodeAt(end);
    while (code >= ZERO && code <= NINE) {
      value = value * 10 + code - ZERO;
      code = this.#text.charCodeAt(++end);
    }
    const digits = end - start;
    const leadingZero = digits > 1 && this.#text.charCodeAt(start) === ZERO;
    const goesOn = code === DOT || code === UPPER_E || code === LOWER_E;
    if (digits === 0 || digits > EXACT_DIGITS || leadingZero || goesOn) return this.#anyNumber();
    this.#at = end;
    return value;
  }

  /** Numbers with a sign, a fraction, an exponent or many digits. */
  #anyNumber(): number {
    NUMBER.lastIndex = this.#at;
    const text = NUMBER.exec(this.#text)?.[0];
    if (text === undefined) return this.#pythonNumber();
    const value = Number(text);
    if (!this.#options.sizesOnly && !Number.isFinite(value)) {
      throw this.#invalid("a number beyond the range of a double", this.#at);
    }
    this.#at += text.length;
    if (!this.#options.sizesOnly) return value;
    if (!PLAIN_INTEGER.test(text)) return Number.NaN;
    return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
  }

  #pythonNumber(): number {
    PYTHON_NUMBER.lastIndex = this.#at;
    const text = this.#options.pythonNumbers ? PYTHON_NUMBER.exec(this.#text)?.[0] : undefined;
    if (text === undefined) throw this.#unexpected("a value");
    this.#at += text.length;
    return Number(text);
  }

  #word<Value extends JsonValue>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected("a value");
    this.#at += word.length;
    return value;
  }

  #enter(depth: number): void {
    if (depth >= MAX_JSON_DEPTH) throw this.#invalid(`nested deeper than ${MAX_JSON_DEPTH} levels`, this.#at);
  }

  #expect(code: number): void {
    if (!this.#takes(code)) throw this.#unexpected(quote(String.fromCharCode(code)));
  }

  #takes(code: number): boolean {
    if (this.skipSpace() !== code) return false;
    this.#at++;
    return true;
  }

  /** After an item: a comma goes on, the closing character ends. */
  #continues(closing: number): boolean {
    if (this.#takes(closing)) return false;
    this.#expect(COMMA);
    return true;
  }

  #unexpected(expected: string): FormatError {
    const found = this.#text.slice(this.#at, this.#at + 10);
    return this.#invalid(`expected ${expected}, got ${found === "" ? "the end of the text" : quote(found)}`, this.#at);
  }

  #invalid(problem: string, at: number): FormatError {
    return new FormatError("INVALID_JSON", `invalid JSON at character ${at}: ${problem}`, { file: this.#options.file });
  }
}
