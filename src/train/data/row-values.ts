/**
 * Values of a row by their keys, or an error that says what was expected.
 */

import { FormatError } from "../../core/errors.ts";
import { describeJson, type JsonObject, type JsonValue } from "../../core/json.ts";
import { quote } from "../../core/text.ts";

export function numbersOf(
  row: JsonObject,
  key: string,
  expected: string,
  accepts: (value: number) => boolean,
): readonly number[] {
  const list = row.get(key);
  if (!Array.isArray(list)) throw invalid(`${quote(key)}: expected a list of ${expected}`);
  const values = list as readonly JsonValue[];
  const wrong = values.findIndex((value) => !Number.isSafeInteger(value) || !accepts(Number(value)));
  if (wrong < 0) return values as readonly number[];
  throw invalid(`${quote(key)}: expected ${expected}, got ${describeJson(values[wrong])} at place ${wrong}`);
}

/** @param place of what has the key, where that is not the row itself */
export function textOf(row: JsonObject, key: string, place?: string): string {
  const value = row.get(key);
  if (typeof value === "string") return value;
  const where = place === undefined ? quote(key) : `${place}: ${quote(key)}`;
  throw invalid(`${where}: expected a text, got ${describeJson(value)}`);
}

export function invalid(problem: string): FormatError {
  return new FormatError("INVALID_ROW", problem);
}
