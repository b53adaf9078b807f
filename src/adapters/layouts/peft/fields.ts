/**
 * Reads single settings of adapter_config.json with their types checked. A missing key and null are the same, as in
 * PEFT's dataclasses; anything of another type is refused with what was expected and what is there.
 */

import { FormatError } from "../../../core/errors.ts";
import { describeJson, type JsonObject, type JsonValue } from "../../../core/json.ts";

/** The settings of one file. */
export interface Settings {
  readonly file: string;
  readonly values: JsonObject;
}

/** Whether Python would take the value for true: not null, false, 0 or empty. */
export function isTruthy(value: JsonValue | undefined): boolean {
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0;
  return Boolean(value);
}

export function booleanField(settings: Settings, key: string, missing: boolean): boolean {
  const value = settings.values.get(key) ?? missing;
  if (typeof value !== "boolean") throw wrongType(settings, key, "true or false", value);
  return value;
}

export function stringField(settings: Settings, key: string): string | undefined {
  const value = settings.values.get(key) ?? undefined;
  if (value !== undefined && typeof value !== "string") throw wrongType(settings, key, "a string", value);
  return value;
}

/** A required rank: an integer from 1 on; 8.0 is one. */
export function rankField(settings: Settings, key: string): number {
  return toRank(settings, key, settings.values.get(key));
}

/** A required alpha: a number from 0 on, integer or not. */
export function alphaField(settings: Settings, key: string): number {
  return toAlpha(settings, key, settings.values.get(key));
}

export function toRank(settings: Settings, key: string, value: JsonValue | undefined): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MAX_RANK) {
    throw wrongType(settings, key, `an integer from 1 to ${MAX_RANK}`, value);
  }
  return value;
}

export function toAlpha(settings: Settings, key: string, value: JsonValue | undefined): number {
  if (typeof value !== "number" || !(value >= 0 && value <= MAX_ALPHA)) {
    throw wrongType(settings, key, `a number from 0 to ${MAX_ALPHA}`, value);
  }
  return value;
}

/** An object of numbers by pattern, in the order of the file, which decides. */
export function patternField(
  settings: Settings,
  key: string,
  toNumber: typeof toRank | typeof toAlpha,
): ReadonlyMap<string, number> {
  const value = settings.values.get(key) ?? new Map<string, JsonValue>();
  if (!(value instanceof Map)) throw wrongType(settings, key, "an object of numbers", value);
  return new Map(
    Array.from(value as JsonObject, ([pattern, entry]) => [pattern, toNumber(settings, `${key}.${pattern}`, entry)]),
  );
}

/** A list of names, or one string, which PEFT takes for a regular expression. */
export function namesField(settings: Settings, key: string): string | readonly string[] | undefined {
  const value = settings.values.get(key) ?? undefined;
  if (value === undefined || (typeof value === "string" && value !== "")) return value;
  const isName = (entry: JsonValue): entry is string => typeof entry === "string" && entry !== "";
  if (!Array.isArray(value) || !value.every(isName))
    throw wrongType(settings, key, "a string or a list of names", value);
  return value;
}

/** A list of names; one string is not enough. */
export function nameListField(settings: Settings, key: string): readonly string[] {
  const names = namesField(settings, key) ?? [];
  if (typeof names === "string") throw wrongType(settings, key, "a list of names", names);
  return names;
}

/** A list of integers from 0 on, or one. */
export function indicesField(settings: Settings, key: string): readonly number[] | undefined {
  const value = settings.values.get(key) ?? undefined;
  return value === undefined ? undefined : toIndices(settings, key, Array.isArray(value) ? value : [value]);
}

export function toIndices(settings: Settings, key: string, value: JsonValue): readonly number[] {
  const isIndex = (entry: JsonValue): entry is number => Number.isSafeInteger(entry) && Number(entry) >= 0;
  if (!Array.isArray(value) || !value.every(isIndex)) {
    throw wrongType(settings, key, "a list of integers from 0 on", value);
  }
  return value;
}

export function wrongType(
  settings: Settings,
  key: string,
  expected: string,
  value: JsonValue | undefined,
): FormatError {
  return new FormatError("INVALID_CONFIG", `expected ${expected}, got ${describeJson(value)}`, {
    file: settings.file,
    subject: key,
  });
}

/** A rank above it is a mistake: no layer has as many inputs. Real: 1,024. */
const MAX_RANK = 1_048_576;

/** The largest f32: what is above it scales every delta to infinity. */
const MAX_ALPHA = 3.4028234663852886e38;
