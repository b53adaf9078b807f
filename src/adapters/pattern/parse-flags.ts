/**
 * Inline flags of Python patterns: `(?i)` for the whole pattern, `(?i:…)` and `(?s-i:…)` for a group
 * (`re._parser._parse_flags` of CPython 3.11). VERBOSE is not supported.
 */

import type { PatternCursor } from "./cursor.ts";
import type { Flags } from "./syntax.ts";

interface FlagChange {
  /** `global`: for the whole pattern; `group`: a group follows that it holds for. */
  readonly scope: "global" | "group";
  readonly apply: (flags: Flags) => Flags;
}

/** Whether a character after `(?` starts a list of flags. */
export function startsFlags(character: string): boolean {
  return character === "-" || LETTERS.includes(character);
}

/** The flags after `(?`, whose first character was taken, up to and with the `)` or `:`. */
export function parseFlags(cursor: PatternCursor, first: string): FlagChange {
  const added: string[] = [];
  const removed: string[] = [];
  let token: string | undefined = first;
  let into = added;
  while (token !== ")" && token !== ":") {
    if (token === "-" && into === added) {
      into = removed;
    } else {
      if (token === undefined || !LETTERS.includes(token)) throw cursor.invalid("a list of flags is not closed");
      checkFlag(cursor, token, into === removed);
      into.push(token);
    }
    token = cursor.get();
  }
  if (token === ")" && into === removed) throw cursor.invalid("flags can be turned off for a group only");
  if (into === removed && removed.length === 0) throw cursor.invalid("no flag to turn off");
  if (added.includes("a") && added.includes("u")) throw cursor.invalid("flags a and u contradict each other");
  if (removed.some((flag) => added.includes(flag))) throw cursor.invalid("a flag is turned on and off");
  return {
    scope: token === ")" ? "global" : "group",
    apply: (flags) => ({
      ignoreCase: (flags.ignoreCase || added.includes("i")) && !removed.includes("i"),
      multiline: (flags.multiline || added.includes("m")) && !removed.includes("m"),
      dotAll: (flags.dotAll || added.includes("s")) && !removed.includes("s"),
      ascii: (flags.ascii || added.includes("a")) && !added.includes("u"),
    }),
  };
}

function checkFlag(cursor: PatternCursor, flag: string, off: boolean): void {
  if (flag === "L") throw cursor.invalid("flag L is for bytes only");
  if (off && (flag === "a" || flag === "u")) throw cursor.invalid(`flag ${flag} cannot be turned off`);
  if (flag === "x" && !off) throw cursor.unsupported("the verbose flag (?x)");
  if (flag === "t") throw cursor.unsupported("the template flag (?t)");
}

const LETTERS = "aiLmstux";
