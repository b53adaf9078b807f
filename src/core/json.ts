/**
 * Types of parsed JSON. Objects that come out of files are Maps: `__proto__` is a legal key in a hostile file.
 */

import { quote } from "./text.ts";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** A value as errors say what they got. */
export function describeJson(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return "an object";
  return String(value);
}
