/**
 * Python regular expressions, matched in bounded time: what PEFT does with `re.match` and `re.fullmatch`, without its way
 * of hanging on `(a+)+$`.
 */

import type { ErrorDetails } from "../../core/errors.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import { parsePattern } from "./parse.ts";
import { compileProgram, MAX_PROGRAM, type Program } from "./program.ts";
import { requiredText } from "./required-text.ts";
import { type Match, OutOfSteps, run, type StepBudget } from "./run.ts";

export interface Pattern {
  /** `re.match`: a match that starts where the text starts. */
  match(text: string): Match | undefined;
  /** `re.fullmatch`: a match of the whole text. */
  fullMatch(text: string): boolean;
}

/** Steps for all patterns of one adapter: a few seconds. Real adapters need a few million. */
export const MAX_PATTERN_STEPS = 100_000_000;

/**
 * Compiles a Python pattern. `details` name the file and the key that it comes from; `budget` is shared by the patterns
 * of one file.
 *
 * @throws {FormatError} INVALID_PATTERN what Python refuses as well
 * @throws {UnsupportedError} UNSUPPORTED_PATTERN a construct that needs backtracking, or too much work
 */
export function compilePattern(source: string, budget: StepBudget, details: ErrorDetails = {}): Pattern {
  const syntax = parsePattern(source, details);
  const required = requiredText(syntax);
  const program = compileProgram(syntax);
  if (program === undefined) {
    throw new UnsupportedError("UNSUPPORTED_PATTERN", `pattern ${quote(source)} is too large`, {
      ...details,
      hint: `counted repetitions are written out, to at most ${MAX_PROGRAM} instructions`,
    });
  }
  return {
    match: (text) => runChecked(program, text, false),
    fullMatch: (text) => runChecked(program, text, true) !== undefined,
  };

  function runChecked(compiled: Program, text: string, whole: boolean): Match | undefined {
    if (!text.includes(required)) return undefined;
    try {
      return run(compiled, text, whole, budget);
    } catch (error) {
      if (!(error instanceof OutOfSteps)) throw error;
      throw new UnsupportedError("UNSUPPORTED_PATTERN", `pattern ${quote(source)} takes too long`, details);
    }
  }
}
