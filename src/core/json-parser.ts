/**
 * JSON as RFC 8259 has it and no wider: files are hostile, and `JSON.parse` keeps the last of two equal keys, accepts lone
 * surrogates and rounds large integers without a word.
 *
 * Refused: invalid UTF-8, a byte order mark, duplicate keys anywhere, lone surrogates, nesting beyond a limit, numbers
 * that overflow a double, anything after the value. Objects become Maps.
 */

import { FormatError } from "./errors.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import { type JsonOptions, JsonScanner } from "./json-scanner.ts";

/**
 * Parses one JSON text.
 *
 * @throws {FormatError} INVALID_UTF8, INVALID_JSON, DUPLICATE_KEY
 */
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
  scanner.members(0, (key) => onMember(key, scanner.value(1)));
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
