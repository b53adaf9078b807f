/**
 * JSON as RFC 8259 has it and no wider: files are hostile, and `JSON.parse` keeps the last of two equal keys, accepts lone
 * surrogates and rounds large integers without a word.
 *
 * Refused: invalid UTF-8, a byte order mark, duplicate keys anywhere, lone surrogates, nesting beyond a limit, anything
 * after the value. Objects become Maps.
 */

import { FormatError } from "./errors.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import { MAX_JSON_DEPTH } from "./limits.ts";
import { quote } from "./text.ts";

export interface JsonOptions {
  /** Named in errors. */
  readonly file: string;
  /**
   * Numbers that are not plain unsigned integers become NaN, those above 2^53 − 1 Infinity: for headers whose numbers are
   * sizes, where `4.0`, `-0` and a rounded 2^53 + 1 must not pass.
   */
  readonly sizesOnly?: boolean;
}

/** Parses one JSON text. */
export function parseJson(bytes: Uint8Array, options: JsonOptions): JsonValue {
  const scanner = new JsonScanner(decodeUtf8(bytes, options.file), options);
  const value = scanner.value(0);
  scanner.end();
  return value;
}

/** Parses one JSON text that must be an object, handing over its members one by one, so that they need not all be kept. */
export function parseJsonMembers(
  bytes: Uint8Array,
  options: JsonOptions,
  onMember: (key: string, value: JsonValue) => void,
): void {
  const scanner = new JsonScanner(decodeUtf8(bytes, options.file), options);
  scanner.members(0, onMember);
  scanner.end();
}

/** Parses one JSON text that must be an object. */
export function parseJsonObject(bytes: Uint8Array, options: JsonOptions): JsonObject {
  const value = parseJson(bytes, options);
  if (value instanceof Map) return value;
  throw new FormatError("INVALID_JSON", "expected a JSON object", { file: options.file });
}

/** @throws {FormatError} INVALID_UTF8; a byte order mark is kept, so the parser refuses it */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError("INVALID_UTF8", "the text is not valid UTF-8", { file, cause });
  }
}

const WHITESPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const PLAIN_INTEGER = /^(?:0|[1-9]\d*)$/;
const ESCAPE = /\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4})|)/g;
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const CONTROL = /[\u0000-\u001f]/;

/** A cursor over a JSON text; also used to find where a value lies. */
export class JsonScanner {
  readonly #text: string;
  readonly #options: JsonOptions;
  #at = 0;

  constructor(text: string, options: JsonOptions) {
    this.#text = text;
    this.#options = options;
  }

  get position(): number {
    return this.#at;
  }

  /** The next value, `depth` levels inside. */
  value(depth: number): JsonValue {
    this.space();
    switch (this.#text[this.#at]) {
      case "{": {
        const object = new Map<string, JsonValue>();
        this.members(depth, (key, value) => object.set(key, value));
        return object;
      }
      case "[":
        return this.#list(depth);
      case '"':
        return this.string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  /** The members of the next value, which must be an object. */
  members(depth: number, onMember: (key: string, value: JsonValue) => void): void {
    this.memberSpans(depth, (key) => onMember(key, this.value(depth + 1)));
  }

  /** Walks an object; `onKey` is called at each value and must consume it. */
  memberSpans(depth: number, onKey: (key: string) => void): void {
    this.#enter(depth);
    this.#expect("{");
    const seen = new Set<string>();
    if (this.#closes("}")) return;
    do {
      this.space();
      const key = this.string();
      if (seen.has(key)) {
        throw new FormatError("DUPLICATE_KEY", "the key stands twice in one object", {
          file: this.#options.file,
          subject: key,
        });
      }
      seen.add(key);
      this.#expect(":");
      this.space();
      onKey(key);
    } while (this.#continues("}"));
  }

  /** Nothing but white space may follow. */
  end(): void {
    this.space();
    if (this.#at < this.#text.length) throw this.#unexpected("the end of the text");
  }

  space(): void {
    WHITESPACE.lastIndex = this.#at;
    WHITESPACE.test(this.#text);
    this.#at = WHITESPACE.lastIndex;
  }

  string(): string {
    this.#expect('"');
    const start = this.#at;
    let end = this.#text.indexOf('"', start);
    // A quote behind an odd number of backslashes belongs to the string.
    while (end >= 0 && isEscaped(this.#text, start, end)) end = this.#text.indexOf('"', end + 1);
    if (end < 0) throw this.#unexpected("the end of a string");
    const raw = this.#text.slice(start, end);
    this.#at = end + 1;
    if (CONTROL.test(raw)) throw this.#invalid("a control character inside a string", start);
    return raw.includes("\\") ? this.#unescape(raw, start) : raw;
  }

  #unescape(raw: string, start: number): string {
    const text = raw.replace(ESCAPE, (_, simple?: string, hex?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (simple === undefined) throw this.#invalid("an unknown escape inside a string", start);
      return ESCAPED.get(simple) ?? simple;
    });
    if (LONE_SURROGATE.test(text)) throw this.#invalid("half a surrogate pair inside a string", start);
    return text;
  }

  #list(depth: number): JsonValue[] {
    this.#enter(depth);
    this.#expect("[");
    const list: JsonValue[] = [];
    if (this.#closes("]")) return list;
    do list.push(this.value(depth + 1));
    while (this.#continues("]"));
    return list;
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const text = NUMBER.exec(this.#text)?.[0];
    if (text === undefined) throw this.#unexpected("a value");
    this.#at += text.length;
    const value = Number(text);
    if (!this.#options.sizesOnly) return value;
    if (!PLAIN_INTEGER.test(text)) return Number.NaN;
    return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
  }

  #word<Value extends JsonValue>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected("a value");
    this.#at += word.length;
    return value;
  }

  #enter(depth: number): void {
    if (depth >= MAX_JSON_DEPTH) throw this.#invalid(`nested deeper than ${MAX_JSON_DEPTH} levels`, this.#at);
  }

  #expect(character: string): void {
    this.space();
    if (this.#text[this.#at] !== character) throw this.#unexpected(quote(character));
    this.#at++;
  }

  #closes(character: string): boolean {
    this.space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** After an item: a comma goes on, the closing character ends. */
  #continues(closing: string): boolean {
    if (this.#closes(closing)) return false;
    this.#expect(",");
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

function isEscaped(text: string, start: number, quoteAt: number): boolean {
  let backslashes = 0;
  while (quoteAt - backslashes > start && text[quoteAt - backslashes - 1] === "\\") backslashes++;
  return backslashes % 2 === 1;
}
