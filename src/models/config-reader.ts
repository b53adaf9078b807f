/**
 * Typed reading of config.json: each key with what it must be, and errors that name key, expected and got.
 *
 * `null` counts as absent, but where an absent key has a default that `null` switches off.
 */

import { FormatError, UnsupportedError } from "../core/errors.ts";
import { describeJson, type JsonObject, type JsonValue } from "../core/json.ts";
import { quote } from "../core/text.ts";

export class ConfigReader {
  /** Path of the configuration, for messages. */
  readonly path: string;
  readonly #config: JsonObject;
  /** Keys on the way to this object. */
  readonly #prefix: string;

  constructor(config: JsonObject, path: string, prefix = "") {
    this.#config = config;
    this.path = path;
    this.#prefix = prefix;
  }

  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** A whole number from 1 on; `otherwise` where the key is absent. */
  count(key: string, otherwise?: number): number {
    const value = this.#get(key) ?? otherwise;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) {
      throw this.invalid(key, "expected a whole number from 1 on");
    }
    return value;
  }

  /** `otherwise` where the key is absent, `undefined` where it is `null`. */
  optionalCount(key: string, otherwise?: number): number | undefined {
    if (!this.#config.has(key)) return otherwise;
    return this.has(key) ? this.count(key) : undefined;
  }

  /** A finite number above 0. */
  positive(key: string, otherwise?: number): number {
    const value = this.#get(key) ?? otherwise;
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
      throw this.invalid(key, "expected a number above 0");
    }
    return value;
  }

  /** `otherwise` where the key is absent, `undefined` where it is `null`. */
  optionalPositive(key: string, otherwise?: number): number | undefined {
    if (!this.#config.has(key)) return otherwise;
    return this.has(key) ? this.positive(key) : undefined;
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.#get(key) ?? otherwise;
    if (typeof value !== "boolean") throw this.invalid(key, "expected true or false");
    return value;
  }

  text(key: string, otherwise?: string): string {
    const value = this.#get(key) ?? otherwise;
    if (typeof value !== "string") throw this.invalid(key, "expected text");
    return value;
  }

  /** `length` finite numbers above 0. */
  positives(key: string, length: number): readonly number[] {
    const value = this.#get(key);
    const numbers = isList(value)
      ? value.filter((one) => typeof one === "number" && Number.isFinite(one) && one > 0)
      : [];
    if (!isList(value) || value.length !== length || numbers.length !== length) {
      throw this.invalid(key, `expected a list of ${length} numbers above 0`);
    }
    return numbers as number[];
  }

  /** `length` texts, each one of `allowed`. */
  texts<Text extends string>(key: string, length: number, allowed: readonly Text[]): readonly Text[] | undefined {
    if (!this.has(key)) return undefined;
    const value = this.#get(key);
    if (!isList(value) || value.length !== length) throw this.invalid(key, `expected a list of ${length} texts`);
    return value.map((one) => {
      const text = allowed.find((name) => name === one);
      if (text === undefined) throw this.unsupported(key, `expected ${allowed.join(" or ")}, got ${describeJson(one)}`);
      return text;
    });
  }

  /** An object inside this one; `undefined` where the key is absent. */
  object(key: string): ConfigReader | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    if (!(value instanceof Map)) throw this.invalid(key, "expected an object");
    return new ConfigReader(value as JsonObject, this.path, `${this.#prefix}${key}.`);
  }

  /** A row of a table by the text of a key. */
  choice<Result>(key: string, table: ReadonlyMap<string, Result>, otherwise?: string): Result {
    const name = this.text(key, otherwise);
    const chosen = table.get(name);
    if (chosen !== undefined) return chosen;
    throw this.unsupported(key, `expected one of ${[...table.keys()].join(", ")}, got ${quote(name)}`);
  }

  /** The value is nothing that the key may hold. */
  invalid(key: string, expected: string): FormatError {
    return new FormatError("INVALID_CONFIG", `${expected}, got ${describeJson(this.#get(key))}`, this.#at(key));
  }

  /** The value is fine, and there is no model for it here. */
  unsupported(key: string, problem: string): UnsupportedError {
    return new UnsupportedError("UNSUPPORTED_MODEL", problem, this.#at(key));
  }

  #get(key: string): JsonValue | undefined {
    return this.#config.get(key) ?? undefined;
  }

  #at(key: string): { readonly file: string; readonly subject: string } {
    return { file: this.path, subject: `${this.#prefix}${key}` };
  }
}

function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}
