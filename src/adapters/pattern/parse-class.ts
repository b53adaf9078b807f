/**
 * Character classes of Python patterns: `[a-z_]`, `[^.]`, `[\d-]`. A `]` in first place is a literal; there is no nesting.
 */

import { type CharacterTest, ignoringCase } from "./characters.ts";
import type { PatternCursor } from "./cursor.ts";
import { parseClassEscape } from "./parse-escape.ts";
import type { Flags, Syntax } from "./syntax.ts";

type Member = { readonly codePoint: number } | { readonly test: CharacterTest };

/** The class whose opening bracket was just taken, up to and with its closing one. */
export function parseClass(cursor: PatternCursor, flags: Flags): Syntax {
  const negative = cursor.match("^");
  const tests: CharacterTest[] = [];
  for (;;) {
    const token = cursor.get();
    if (token === undefined) throw cursor.invalid("a character class is not closed");
    if (token === "]" && tests.length > 0) break;
    const member = parseMember(cursor, token, flags);
    if (!cursor.match("-")) {
      tests.push(memberTest(member, flags));
      continue;
    }
    const last = cursor.get();
    if (last === undefined) throw cursor.invalid("a character class is not closed");
    if (last === "]") {
      tests.push(memberTest(member, flags), (codePoint) => codePoint === 0x2d);
      break;
    }
    const end = parseMember(cursor, last, flags);
    if (!("codePoint" in member) || !("codePoint" in end) || end.codePoint < member.codePoint) {
      throw cursor.invalid(`${token}-${last} is not a range`);
    }
    tests.push(rangeTest(member.codePoint, end.codePoint, flags));
  }
  const test = (codePoint: number): boolean => tests.some((member) => member(codePoint)) !== negative;
  return { kind: "character", test, cost: tests.length };
}

/** One character, with or without regard to case. */
export function literalTest(codePoint: number, flags: Flags): CharacterTest {
  return rangeTest(codePoint, codePoint, flags);
}

function parseMember(cursor: PatternCursor, token: string, flags: Flags): Member {
  if (!token.startsWith("\\")) return { codePoint: token.codePointAt(0) ?? 0 };
  const parsed = parseClassEscape(cursor, token, flags.ascii);
  switch (parsed.kind) {
    case "literal":
      return { codePoint: parsed.codePoint };
    case "category":
      return { test: parsed.test };
    case "position":
      throw cursor.invalid(`unknown escape ${token} in a character class`);
  }
}

function memberTest(member: Member, flags: Flags): CharacterTest {
  return "codePoint" in member ? literalTest(member.codePoint, flags) : member.test;
}

function rangeTest(first: number, last: number, flags: Flags): CharacterTest {
  const test = (codePoint: number): boolean => codePoint >= first && codePoint <= last;
  return flags.ignoreCase ? ignoringCase(test, flags.ascii) : test;
}
