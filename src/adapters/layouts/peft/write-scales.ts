/**
 * Changes the ranks, alphas and convention of an adapter_config.json and nothing else in it: every other byte stays.
 *
 * Patterns are written for any reader and any order: PEFT takes the first key that hits, vLLM none, and PEFT sorts the
 * keys when it saves. So all keys that hit a module give it the same value, or they are replaced by full names.
 */

import { replaceJsonValue } from "../../../core/json-edit.ts";
import { formatNumber } from "../../../core/json-text.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { Convention } from "../../adapter.ts";
import { patternCompiler, patternTable } from "./name-rules.ts";

/** The settings that make up the scales. */
export interface ScaleSettings {
  readonly convention: Convention;
  readonly rank: number;
  readonly alpha: number;
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
}

/**
 * Writes what differs between two states into the text of the file. A setting that is absent is added where its default
 * would be another.
 *
 * @param prefix of the keys, where the settings of several adapters stand in one object
 */
export function writeScales(text: string, before: ScaleSettings, after: ScaleSettings, prefix = ""): string {
  let edited = text;
  const set = (key: string, value: string) => {
    edited = replaceJsonValue(edited, [prefix + key], value);
  };
  if (after.convention !== before.convention) set("use_rslora", String(after.convention === "rslora"));
  if (after.rank !== before.rank) set("r", formatNumber(after.rank));
  if (after.alpha !== before.alpha) set("lora_alpha", formatNumber(after.alpha));
  if (!sameEntries(before.rankPattern, after.rankPattern)) set("rank_pattern", formatEntries(text, after.rankPattern));
  if (!sameEntries(before.alphaPattern, after.alphaPattern)) {
    set("alpha_pattern", formatEntries(text, after.alphaPattern));
  }
  return edited;
}

/**
 * An alpha_pattern that gives each module its alpha, with as few changes as the rules allow: a key stays, with its new
 * value, where all modules that it hits have one alpha; the other modules get keys of their own, anchored and escaped,
 * unless the alpha for modules without a key is theirs.
 *
 * @param before the keys that are there
 * @param alphas by the name that patterns see
 * @param fallback `lora_alpha`
 * @param ofUnused the value of a key that hits no module, from its old one
 */
export function assignAlphas(
  before: ReadonlyMap<string, number>,
  alphas: ReadonlyMap<string, number>,
  fallback: number,
  ofUnused: (alpha: number) => number,
  file: string,
): Map<string, number> {
  const compiler = patternCompiler(file);
  const own = new Set(Array.from(alphas.keys(), anchoredKey));
  const entries = new Map<string, number>();
  const covered = new Set<string>();
  for (const [key, old] of before) {
    const { find } = patternTable(new Map([[key, old]]), "alpha_pattern", compiler);
    const hit = [...alphas].filter(([name]) => find(name) !== undefined);
    const values = new Set(hit.map(([, alpha]) => alpha));
    const [value = ofUnused(old)] = values;
    if (values.size > 1 || (value === fallback && own.has(key))) continue;
    entries.set(key, value);
    for (const [name] of hit) covered.add(name);
  }
  const missing = [...alphas].filter(([name, alpha]) => !covered.has(name) && alpha !== fallback);
  missing.sort(([a], [b]) => compareCodePoints(a, b));
  for (const [name, alpha] of missing) entries.set(anchoredKey(name), alpha);
  return entries;
}

/** The pattern that hits this name and no other, in PEFT's `re.match(rf"(.*\.)?({key})$", name)`. */
export function anchoredKey(name: string): string {
  return `^${name.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&")}$`;
}

/** In the style of the file: one entry a line, or all on one. */
function formatEntries(text: string, entries: ReadonlyMap<string, number>): string {
  if (entries.size === 0) return "{}";
  const members = Array.from(entries, ([key, value]) => `${JSON.stringify(key)}: ${formatNumber(value)}`);
  const indent = /^\s*\{\r?\n([ \t]*)/.exec(text)?.[1];
  if (indent === undefined) return `{${members.join(", ")}}`;
  return `{\n${members.map((member) => `${indent}${indent}${member}`).join(",\n")}\n${indent}}`;
}

function sameEntries(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return JSON.stringify([...a]) === JSON.stringify([...b]);
}
