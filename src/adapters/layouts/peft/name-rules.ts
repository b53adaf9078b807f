/**
 * How PEFT 0.21.2 matches names of modules with the entries of a config (`tuners_utils.check_target_module_exists`,
 * `utils.other.get_pattern_key`). Names are without `base_model.model.`.
 */

import { compilePattern, MAX_PATTERN_STEPS, type Pattern } from "../../pattern/pattern.ts";
import type { StepBudget } from "../../pattern/run.ts";

/** Compiles patterns of one file once, with one budget for the work of all. */
export interface PatternCompiler {
  readonly compile: (source: string, key: string) => Pattern;
}

export function patternCompiler(file: string): PatternCompiler {
  const budget: StepBudget = { remaining: MAX_PATTERN_STEPS };
  return { compile: (source, key) => compilePattern(source, budget, { file, subject: key }) };
}

/** The setting of rank_pattern or alpha_pattern that decides for a name. */
export interface PatternTable {
  /** The value that decides for a name; `undefined` where no pattern hits. */
  readonly find: (name: string) => number | undefined;
  /** Whether two patterns with different values hit a name, so that their order decides. */
  readonly isContested: (name: string) => boolean;
  /** Patterns that hit none of the names. */
  readonly unused: (names: readonly string[]) => readonly string[];
}

/**
 * `re.match(rf"(.*\.)?({key})$", name)` for each key in the order of the file; the first hit decides. So a key is a
 * regular expression that starts at the beginning of the name or after a dot and reaches its end.
 */
export function patternTable(
  entries: ReadonlyMap<string, number>,
  key: string,
  compiler: PatternCompiler,
): PatternTable {
  const rules = Array.from(entries, ([pattern, value]) => ({
    pattern,
    value,
    matches: keyMatcher(pattern, `${key}.${pattern}`, compiler),
  }));
  return {
    find: (name) => rules.find(({ matches }) => matches(name))?.value,
    isContested: (name) => {
      const first = rules.findIndex(({ matches }) => matches(name));
      return rules.slice(first + 1).some(({ value, matches }) => value !== rules[first]?.value && matches(name));
    },
    unused: (names) => rules.filter(({ matches }) => !names.some(matches)).map(({ pattern }) => pattern),
  };
}

/** A list: the whole name or its end after a dot. One string: a regular expression for the whole name. */
export function nameSet(
  names: string | readonly string[],
  key: string,
  compiler: PatternCompiler,
): (name: string) => boolean {
  if (typeof names === "string") {
    const pattern = compiler.compile(names, key);
    return (name) => pattern.fullMatch(name);
  }
  const listed = new Set(names);
  return (name) => suffixes(name).some((suffix) => listed.has(suffix));
}

/** modules_to_save, each `re.match(rf"(^|.*\.){m}($|\..*)", name)`: the module itself and what is inside it. */
export function savedModules(names: readonly string[], compiler: PatternCompiler): (name: string) => boolean {
  const patterns = names.map((name) => compiler.compile(`(^|.*\\.)${name}($|\\..*)`, "modules_to_save"));
  return (name) => patterns.some((pattern) => pattern.match(name) !== undefined);
}

/** The index of the layer that a name belongs to: the first number, or the one after the first pattern that hits. */
export function layerIndex(
  patterns: readonly string[],
  compiler: PatternCompiler,
): (name: string) => number | undefined {
  const sources =
    patterns.length === 0
      ? [".*?\\.[^.]*\\.(?P<idx>\\d+)\\."]
      : patterns.map((pattern) => `(?:^|.*?\\.)${pattern}\\.(?P<idx>\\d+)\\.`);
  const compiled = sources.map((source) => compiler.compile(source, "layers_pattern"));
  return (name) => {
    for (const pattern of compiled) {
      const match = pattern.match(name);
      if (match !== undefined) return match.captured === undefined ? undefined : Number(match.captured);
    }
    return undefined;
  };
}

/** A name and what is left of it after each dot: `a.b.c`, `b.c`, `c`. */
export function suffixes(name: string): string[] {
  const parts = name.split(".");
  return parts.map((_, index) => parts.slice(index).join("."));
}

function keyMatcher(key: string, subject: string, compiler: PatternCompiler): (name: string) => boolean {
  const pattern = compiler.compile(`(.*\\.)?(${key})$`, subject);
  const matches = (name: string): boolean => pattern.match(name) !== undefined;
  if (!SIMPLE_KEY.test(key)) return matches;
  const simple = simpleMatcher(key);
  return (name) => (PRINTABLE_ASCII.test(name) ? simple(name) : matches(name));
}

/** The same for keys such as `model.layers.0.self_attn.q_proj`, of which EVA writes one a module: without the machine. */
function simpleMatcher(key: string): (name: string) => boolean {
  const wanted = key.replaceAll("\\.", ESCAPED_DOT);
  return (name) => {
    const start = name.length - wanted.length;
    if (start < 0 || (start > 0 && name[start - 1] !== ".")) return false;
    // From the end, where names differ.
    for (let index = wanted.length - 1; index >= 0; index--) {
      const character = wanted[index] === ESCAPED_DOT ? "." : wanted[index];
      if (character !== name[start + index] && wanted[index] !== ".") return false;
    }
    return true;
  };
}

/** Letters, digits, `_`, `-` and dots, escaped or not: each stands for one character. */
const SIMPLE_KEY = /^(?:[A-Za-z0-9_.-]|\\\.)+$/;
const ESCAPED_DOT = "\0";

/** Without line feeds, where `.` and `$` are special, and without characters of two code units. */
const PRINTABLE_ASCII = /^[ -~]*$/;
