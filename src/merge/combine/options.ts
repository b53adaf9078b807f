/**
 * What a caller may ask about the method: name, parameters, rank.
 */

import { UsageError } from "../../core/errors.ts";
import type { OptionKinds } from "../../core/option-kinds.ts";
import { MAJORITY_SIGNS, type MajoritySign, type MethodParameter, type MethodSettings } from "./method.ts";
import { METHOD_NAMES, METHODS, type MethodName } from "./registry.ts";

export interface MethodOptions {
  /** How deltas are combined; default `add`. */
  readonly method?: MethodName | undefined;
  /** Share of the elements of each delta that ties, dare and magnitude-prune keep; default 0.5. */
  readonly density?: number | undefined;
  /** How ties and dare-ties elect signs; default `total`. */
  readonly majoritySign?: MajoritySign | undefined;
  /** Of what dare drops; default 0. */
  readonly seed?: number | undefined;
  /** What svd cuts to; default the highest rank of the adapters. */
  readonly rank?: number | undefined;
}

/** What each of them may hold, before its range is looked at. */
export const METHOD_OPTION_KINDS = {
  method: METHOD_NAMES,
  density: "a number",
  majoritySign: MAJORITY_SIGNS,
  seed: "a number",
  rank: "a number",
} as const satisfies OptionKinds<MethodOptions>;

/** The method that was chosen, with every parameter. */
export interface ChosenMethod {
  readonly name: MethodName;
  readonly settings: MethodSettings;
  readonly rank: number | undefined;
}

const DEFAULTS: MethodSettings = { density: 0.5, majoritySign: "total", seed: 0 };

/** @throws {UsageError} naming the option that is wrong */
export function chooseMethod({ method: name = "add", rank, ...given }: MethodOptions): ChosenMethod {
  const { density = DEFAULTS.density, majoritySign = DEFAULTS.majoritySign, seed = DEFAULTS.seed } = given;
  if (!(density > 0 && density <= 1)) throw new UsageError(`expected a density above 0 and up to 1, got ${density}`);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError(`expected a whole seed from 0 on, got ${seed}`);
  if (rank !== undefined && !(Number.isSafeInteger(rank) && rank >= 1)) {
    throw new UsageError(`expected a rank from 1 on, got ${rank}`);
  }
  return { name, settings: { density, majoritySign, seed }, rank };
}

/** What of the settings decides the result: nothing for an exact sum. */
export function usedSettings({ name, settings, rank }: ChosenMethod): Readonly<Record<string, string | number>> {
  const method = METHODS[name];
  const used = method.parameters.map((parameter) => [parameter, settings[parameter]] as const);
  const cuts = method.kind === "sum" && method.cuts && rank !== undefined;
  return Object.fromEntries<string | number>([...used, ...(cuts ? [["rank", rank] as const] : [])]);
}

/** A line for each parameter that was given and has no part in the method. */
export function unusedParameters(options: MethodOptions): string[] {
  const { method: name = "add" } = options;
  const { parameters } = METHODS[name];
  const given = (["density", "majoritySign", "seed"] satisfies MethodParameter[]).filter(
    (parameter) => options[parameter] !== undefined && !parameters.includes(parameter),
  );
  return given.map((parameter) => `${parameter} has no part in ${name}`);
}
