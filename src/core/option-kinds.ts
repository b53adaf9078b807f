/**
 * Options as programs pass them → options that are what their types say: a caller in JavaScript has no compiler, and an
 * option that is misspelt would otherwise do nothing.
 */

import { UsageError } from "./errors.ts";
import type { RunOptions } from "./progress.ts";
import { quote } from "./text.ts";

const isNumber = (value: unknown): value is number => typeof value === "number";
const isText = (value: unknown): value is string => typeof value === "string";
const isRecord = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isWeightedPath = (value: unknown) => {
  if (!isRecord(value)) return false;
  const { path, weight, ...others } = value as Record<string, unknown>;
  return isText(path) && (weight === undefined || isNumber(weight)) && Object.keys(others).length === 0;
};

/** What an option may hold, in the words that errors have for it, and how that is seen. Ranges are up to the option. */
const TESTS = {
  "a text": isText,
  "a number": isNumber,
  "true or false": (value: unknown) => typeof value === "boolean",
  "a list of texts": (value: unknown) => Array.isArray(value) && value.every(isText),
  "a list of numbers": (value: unknown) => Array.isArray(value) && value.every(isNumber),
  "two numbers": (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(isNumber),
  "a text or a list of texts": (value: unknown) => isText(value) || (Array.isArray(value) && value.every(isText)),
  "a number or a text": (value: unknown) => isNumber(value) || isText(value),
  "a list of { path, weight? }": (value: unknown) => Array.isArray(value) && value.every(isWeightedPath),
  "texts by name": (value: unknown) => isRecord(value) && Object.values(value).every(isText),
  "numbers by name": (value: unknown) => isRecord(value) && Object.values(value).every(isNumber),
  "numbers and texts by name": (value: unknown) =>
    isRecord(value) && Object.values(value).every((entry) => isNumber(entry) || isText(entry)),
  "an AbortSignal": (value: unknown) => value instanceof AbortSignal,
  "a function": (value: unknown) => typeof value === "function",
} as const;

type Kind = keyof typeof TESTS;

/** A kind, or all texts that the option may be. */
export type OptionKind = Kind | readonly string[];

const REQUIRED = "required ";

type RequiredKind = `required ${Kind}` | { readonly required: readonly string[] };

/** A row for each option; those that must be there say so. */
export type OptionKinds<Options> = {
  readonly [Name in keyof Options]-?: undefined extends Options[Name] ? OptionKind : RequiredKind;
};

/** The rows of what every long call takes. */
export const RUN_OPTION_KINDS = {
  signal: "an AbortSignal",
  onProgress: "a function",
} as const satisfies OptionKinds<RunOptions>;

/**
 * @param command that the options are for, as errors name it
 * @throws {UsageError} naming the first option that is unknown, missing, or of another kind
 */
export function assertOptionKinds<Options extends object>(
  command: string,
  options: Options,
  kinds: OptionKinds<Options>,
): void {
  if (!isRecord(options)) throw new UsageError(`${command}: expected an object of options, got ${describe(options)}`);
  const rows = new Map<string, OptionKind | RequiredKind>(Object.entries(kinds));
  const given = new Map<string, unknown>(Object.entries(options));
  for (const name of given.keys()) if (!rows.has(name)) throw unknownOption(command, name, [...rows.keys()]);
  for (const [name, row] of rows) {
    const value = given.get(name);
    const required = requiredKind(row);
    if (value === undefined && required === undefined) continue;
    const kind = required ?? (row as OptionKind);
    const fits = isText(kind) ? TESTS[kind](value) : kind.some((choice) => choice === value);
    if (fits) continue;
    const expected = isText(kind) ? kind : `one of ${kind.join(", ")}`;
    throw new UsageError(`expected ${expected}, got ${describe(value)}`, { subject: name });
  }
}

function requiredKind(row: OptionKind | RequiredKind): OptionKind | undefined {
  if (isText(row)) return row.startsWith(REQUIRED) ? (row.slice(REQUIRED.length) as Kind) : undefined;
  return "required" in row ? row.required : undefined;
}

function unknownOption(command: string, name: string, known: readonly string[]): UsageError {
  const plain = (text: string) => text.replace(/[-_]/g, "").toLowerCase();
  const meant = known.find((candidate) => plain(candidate) === plain(name));
  return new UsageError(`${command} has no such option`, {
    subject: name,
    hint: meant === undefined ? `its options are ${known.join(", ")}` : `did you mean ${meant}?`,
  });
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (isText(value)) return quote(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "function") return "a function";
  return isRecord(value) ? "an object" : String(value);
}
