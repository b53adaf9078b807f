/**
 * Escapes of Python patterns (`re._parser._escape` and `_class_escape` of CPython 3.11): categories, positions, control
 * characters, and characters by number. Escapes that Python does not know are refused, as there.
 */

import { type CharacterTest, isDigit, isSpace, isWord } from "./characters.ts";
import type { PatternCursor } from "./cursor.ts";
import type { Position } from "./syntax.ts";

type Escape =
  | { readonly kind: "literal"; readonly codePoint: number }
  | { readonly kind: "category"; readonly test: CharacterTest }
  | { readonly kind: "position"; readonly position: Position };

/** An escape outside a character class; `token` is the backslash and the character after it. */
export function parseEscape(cursor: PatternCursor, token: string, ascii: boolean): Escape {
  const position = POSITIONS.get(token);
  if (position !== undefined) return { kind: "position", position };
  const common = parseCommonEscape(cursor, token, ascii);
  if (common !== undefined) return common;
  const letter = token.slice(1);
  if (letter === "0") return { kind: "literal", codePoint: Number.parseInt(`0${cursor.take(2, OCTAL)}`, 8) };
  if (DECIMAL.includes(letter)) return parseOctalOrReference(cursor, letter);
  return parseLiteralEscape(cursor, token);
}

/** An escape inside a character class: `\b` is a backspace there and numbers are octal. */
export function parseClassEscape(cursor: PatternCursor, token: string, ascii: boolean): Escape {
  if (token === "\\b") return { kind: "literal", codePoint: 0x08 };
  const common = parseCommonEscape(cursor, token, ascii);
  if (common !== undefined) return common;
  const letter = token.slice(1);
  if (OCTAL.includes(letter)) return octal(cursor, letter + cursor.take(2, OCTAL));
  if (DECIMAL.includes(letter)) throw cursor.invalid(`unknown escape ${token}`);
  return parseLiteralEscape(cursor, token);
}

function parseCommonEscape(cursor: PatternCursor, token: string, ascii: boolean): Escape | undefined {
  const control = CONTROLS.get(token);
  if (control !== undefined) return { kind: "literal", codePoint: control };
  const digits = HEX_LENGTHS.get(token);
  if (digits !== undefined) return hexadecimal(cursor, token, digits);
  const category = CATEGORIES.get(token.toLowerCase());
  if (category !== undefined) {
    const negative = token !== token.toLowerCase();
    return { kind: "category", test: (codePoint) => category(codePoint, ascii) !== negative };
  }
  if (token === "\\N") throw cursor.unsupported("a character by its name (\\N)");
  return undefined;
}

function hexadecimal(cursor: PatternCursor, token: string, digits: number): Escape {
  const text = cursor.take(digits, "0123456789abcdefABCDEF");
  const codePoint = Number.parseInt(text, 16);
  if (text.length !== digits) throw cursor.invalid(`${token} needs ${digits} hexadecimal digits, got ${text.length}`);
  if (codePoint > 0x10ffff) throw cursor.invalid(`${token}${text} is beyond the last character`);
  return { kind: "literal", codePoint };
}

/** `\12` and `\123`: three octal digits are a character, anything else refers back to a group. */
function parseOctalOrReference(cursor: PatternCursor, first: string): Escape {
  const second = cursor.take(1, DECIMAL);
  if (second !== "" && OCTAL.includes(first) && OCTAL.includes(second)) {
    const third = cursor.take(1, OCTAL);
    if (third !== "") return octal(cursor, first + second + third);
  }
  throw cursor.unsupported(`a back-reference (\\${first}${second})`);
}

function octal(cursor: PatternCursor, digits: string): Escape {
  const codePoint = Number.parseInt(digits, 8);
  if (codePoint > 0o377) throw cursor.invalid(`\\${digits} is above \\377`);
  return { kind: "literal", codePoint };
}

function parseLiteralEscape(cursor: PatternCursor, token: string): Escape {
  if (/^\\[a-zA-Z]$/.test(token)) throw cursor.invalid(`unknown escape ${token}`);
  return { kind: "literal", codePoint: token.codePointAt(1) ?? 0 };
}

const DECIMAL = "0123456789";
const OCTAL = "01234567";

const HEX_LENGTHS: ReadonlyMap<string, number> = new Map([
  ["\\x", 2],
  ["\\u", 4],
  ["\\U", 8],
]);

const CONTROLS: ReadonlyMap<string, number> = new Map([
  ["\\a", 0x07],
  ["\\f", 0x0c],
  ["\\n", 0x0a],
  ["\\r", 0x0d],
  ["\\t", 0x09],
  ["\\v", 0x0b],
]);

const CATEGORIES: ReadonlyMap<string, (codePoint: number, ascii: boolean) => boolean> = new Map([
  ["\\d", isDigit],
  ["\\s", isSpace],
  ["\\w", isWord],
]);

const POSITIONS: ReadonlyMap<string, Position> = new Map<string, Position>([
  ["\\A", "text-start"],
  ["\\Z", "text-end"],
  ["\\b", "word-boundary"],
  ["\\B", "not-word-boundary"],
]);
