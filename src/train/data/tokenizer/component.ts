/**
 * One object of a tokenizer's files, read strictly: a field of the wrong kind is named with its place in the file.
 */

import { FormatError, UnsupportedError } from "../../../core/errors.ts";
import { describeJson, type JsonObject, type JsonValue } from "../../../core/json.ts";
import { quote } from "../../../core/text.ts";

export class Component {
  readonly values: JsonObject;
  readonly file: string;
  readonly #place: string;

  /**
   * @param place where the object stands in the file: keys and numbers joined by dots
   * @throws {FormatError} INVALID_CONFIG when the value is no object
   */
  constructor(value: JsonValue | undefined, place: string, file: string) {
    this.file = file;
    this.#place = place;
    if (!(value instanceof Map)) throw this.invalid("an object", value);
    this.values = value;
  }

  /** The kind that `type` names. */
  type<Type extends string>(known: readonly Type[]): Type {
    const type = this.text("type");
    const found = known.find((candidate) => candidate === type);
    if (found !== undefined) return found;
    throw this.unsupported(`type ${quote(type)} is not supported, expected ${known.join(", ")}`);
  }

  text(key: string, fallback?: string): string {
    return this.#read(key, fallback, "a text", (value) => typeof value === "string");
  }

  flag(key: string, fallback: boolean): boolean {
    return this.#read(key, fallback, "true or false", (value) => typeof value === "boolean");
  }

  /** A whole number of at least `lowest`. */
  count(key: string, lowest: number, fallback?: number): number {
    const isCount = (value: JsonValue) => Number.isSafeInteger(value) && Number(value) >= lowest;
    return this.#read(key, fallback, `a whole number of at least ${lowest}`, isCount);
  }

  /** Whole numbers of at least `lowest`. */
  counts(key: string, lowest: number): readonly number[] {
    const areCounts = (value: JsonValue) =>
      Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= lowest);
    return this.#read<readonly number[]>(key, undefined, `whole numbers of at least ${lowest}`, areCounts);
  }

  list(key: string): readonly JsonValue[] {
    return this.#read<readonly JsonValue[]>(key, [], "a list", Array.isArray);
  }

  /** The objects of a list. */
  children(key: string): Component[] {
    return this.list(key).map((value, index) => new Component(value, `${this.#placeOf(key)}.${index}`, this.file));
  }

  child(key: string): Component {
    return new Component(this.values.get(key), this.#placeOf(key), this.file);
  }

  /** Whether the key is there and not null. */
  has(key: string): boolean {
    return (this.values.get(key) ?? null) !== null;
  }

  /** @param key of the field at fault; without it the object itself is */
  invalid(expected: string, value: JsonValue | undefined, key?: string): FormatError {
    const details = { file: this.file, subject: this.#placeOf(key) };
    return new FormatError("INVALID_CONFIG", `expected ${expected}, got ${describeJson(value)}`, details);
  }

  unsupported(problem: string, key?: string): UnsupportedError {
    return new UnsupportedError("UNSUPPORTED_FORMAT", problem, {
      file: this.file,
      subject: this.#placeOf(key),
      hint: 'tokenise the rows with another program, and train on {"input_ids": […]}',
    });
  }

  #read<Value extends JsonValue>(
    key: string,
    fallback: Value | undefined,
    expected: string,
    accepts: (value: JsonValue) => boolean,
  ): Value {
    const value = this.values.get(key) ?? fallback;
    if (value !== undefined && accepts(value)) return value as Value;
    throw this.invalid(expected, value, key);
  }

  #placeOf(key: string | undefined): string {
    return [this.#place, key].filter(Boolean).join(".");
  }
}

/** The same value with plain objects instead of Maps, as the library takes it. */
export function toPlain(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Map) return Object.fromEntries(Array.from(value, ([key, item]) => [key, toPlain(item)]));
  return value;
}
