/**
 * Python's regular expressions (`re` of CPython 3.11, str patterns) into a syntax tree.
 *
 * What Python refuses is refused as INVALID_PATTERN. Refused as UNSUPPORTED_PATTERN, by name: back-references, conditional
 * groups, atomic groups, possessive quantifiers (none of which a linear-time matcher can follow), `\N{…}` and verbose mode.
 */

import type { ErrorDetails } from "../../core/errors.ts";
import { MAX_PATTERN_LENGTH } from "../../core/limits.ts";
import type { CharacterTest } from "./characters.ts";
import { PatternCursor } from "./cursor.ts";
import { literalTest, parseClass } from "./parse-class.ts";
import { parseEscape } from "./parse-escape.ts";
import { parseFlags, startsFlags } from "./parse-flags.ts";
import { type Flags, fixedWidth, type Position, type Syntax } from "./syntax.ts";

/** What the whole pattern shares while it is parsed. */
interface Context {
  readonly cursor: PatternCursor;
  readonly names: Set<string>;
  /** Global flags, which only the start of the pattern may set. */
  flags: Flags;
}

/** Parses a pattern of at most `MAX_PATTERN_LENGTH` characters; `details` say where it comes from. */
export function parsePattern(source: string, details: ErrorDetails): Syntax {
  const cursor = new PatternCursor(source, details);
  if (source.length > MAX_PATTERN_LENGTH) {
    throw cursor.unsupported(`${source.length} characters, the limit is ${MAX_PATTERN_LENGTH},`);
  }
  const flags = { ignoreCase: false, multiline: false, dotAll: false, ascii: false };
  const context: Context = { cursor, names: new Set(), flags };
  const syntax = parseChoice(context, undefined, 0);
  if (cursor.next !== undefined) throw cursor.invalid("a parenthesis is closed that was not opened");
  return syntax;
}

/** `a|b|c`; `flags` is undefined at the top, where the global flags hold. */
function parseChoice(context: Context, flags: Flags | undefined, depth: number): Syntax {
  if (depth > MAX_DEPTH) throw context.cursor.unsupported(`groups nested deeper than ${MAX_DEPTH}`);
  const options: Syntax[] = [];
  do {
    options.push(parseSequence(context, flags, depth, depth === 0 && options.length === 0));
  } while (context.cursor.match("|"));
  const [only] = options;
  return options.length === 1 && only !== undefined ? only : { kind: "choice", options };
}

function parseSequence(context: Context, scoped: Flags | undefined, depth: number, first: boolean): Syntax {
  const { cursor } = context;
  const items: Syntax[] = [];
  while (cursor.next !== undefined && cursor.next !== "|" && cursor.next !== ")") {
    const flags = scoped ?? context.flags;
    const token = cursor.get() ?? "";
    if (token.startsWith("\\")) {
      const parsed = parseEscape(cursor, token, flags.ascii);
      if (parsed.kind === "position") items.push(position(parsed.position, flags));
      else items.push(parsed.kind === "literal" ? literal(parsed.codePoint, flags) : character(parsed.test));
    } else if (token === "[") {
      items.push(parseClass(cursor, flags));
    } else if (token === ".") {
      items.push(character(flags.dotAll ? () => true : (codePoint) => codePoint !== 0x0a));
    } else if (token === "^") {
      items.push(position(flags.multiline ? "line-start" : "text-start", flags));
    } else if (token === "$") {
      items.push(position(flags.multiline ? "line-end" : "text-end-or-newline", flags));
    } else if (token === "(") {
      const group = parseGroup(context, flags, depth, first && items.length === 0);
      if (group !== undefined) items.push(group);
    } else {
      const range = parseRange(cursor, token);
      if (range === undefined) items.push(literal(token.codePointAt(0) ?? 0, flags));
      else items.push(parseRepeat(cursor, items.pop(), range));
    }
  }
  return { kind: "sequence", items };
}

/** The bounds of a quantifier whose first token was taken; `undefined` when the token is a literal. */
function parseRange(cursor: PatternCursor, token: string): readonly [min: number, max: number] | undefined {
  if (token === "?") return [0, 1];
  if (token === "*") return [0, Number.POSITIVE_INFINITY];
  if (token === "+") return [1, Number.POSITIVE_INFINITY];
  if (token !== "{" || cursor.next === "}") return undefined;
  const start = cursor.tell();
  const low = cursor.take(Number.POSITIVE_INFINITY, "0123456789");
  const high = cursor.match(",") ? cursor.take(Number.POSITIVE_INFINITY, "0123456789") : low;
  if (!cursor.match("}")) {
    cursor.seek(start);
    return undefined;
  }
  const min = low === "" ? 0 : Number(low);
  const max = high === "" ? Number.POSITIVE_INFINITY : Number(high);
  if (min > max) throw cursor.invalid("a repetition has a minimum above its maximum");
  return [min, max];
}

function parseRepeat(cursor: PatternCursor, item: Syntax | undefined, [min, max]: readonly [number, number]): Syntax {
  if (item === undefined || item.kind === "position") throw cursor.invalid("there is nothing to repeat");
  if (item.kind === "repeat") throw cursor.invalid("a repetition is repeated");
  const lazy = cursor.match("?");
  if (!lazy && cursor.next === "+") throw cursor.unsupported("a possessive quantifier");
  return { kind: "repeat", item, min, max, lazy };
}

/** A group whose opening parenthesis was taken; `undefined` for a comment and for global flags. */
function parseGroup(context: Context, flags: Flags, depth: number, atStart: boolean): Syntax | undefined {
  const { cursor } = context;
  if (!cursor.match("?")) return closeGroup(context, flags, depth, undefined);
  const token = cursor.get();
  if (token === undefined) throw cursor.invalid("it ends inside a group");
  if (token === ":") return closeGroup(context, flags, depth, undefined);
  if (token === "P") return parseNamedGroup(context, flags, depth);
  if (token === "#") {
    let inside = cursor.get();
    while (inside !== undefined && inside !== ")") inside = cursor.get();
    if (inside === undefined) throw cursor.invalid("a comment is not closed");
    return undefined;
  }
  if (token === "=" || token === "!") return parseLook(context, flags, depth, true, token === "!");
  if (token === "<") {
    const kind = cursor.get();
    if (kind !== "=" && kind !== "!") throw cursor.invalid(`unknown group (?<${kind ?? ""}`);
    return parseLook(context, flags, depth, false, kind === "!");
  }
  if (token === "(") throw cursor.unsupported("a conditional group (?(…)…)");
  if (token === ">") throw cursor.unsupported("an atomic group (?>…)");
  if (!startsFlags(token)) throw cursor.invalid(`unknown group (?${token}`);
  const change = parseFlags(cursor, token);
  if (change.scope === "group") return closeGroup(context, change.apply(flags), depth, undefined);
  if (!atStart) throw cursor.invalid("flags for the whole pattern must stand at its start");
  context.flags = change.apply(context.flags);
  return undefined;
}

function parseNamedGroup(context: Context, flags: Flags, depth: number): Syntax {
  const { cursor, names } = context;
  if (cursor.match("=")) throw cursor.unsupported("a back-reference (?P=…)");
  if (!cursor.match("<")) throw cursor.invalid(`unknown group (?P${cursor.next ?? ""}`);
  const name = cursor.takeUntil(">", "the name of a group");
  if (!/^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(name)) throw cursor.invalid("the name of a group is no identifier");
  if (names.has(name)) throw cursor.invalid("two groups have the same name");
  names.add(name);
  return closeGroup(context, flags, depth, name);
}

function parseLook(context: Context, flags: Flags, depth: number, ahead: boolean, negative: boolean): Syntax {
  const { item } = closeGroup(context, flags, depth, undefined);
  if (!ahead && fixedWidth(item) === undefined) throw context.cursor.invalid("a look-behind has no fixed width");
  return { kind: "look", ahead, negative, item };
}

function closeGroup(
  context: Context,
  flags: Flags,
  depth: number,
  name: string | undefined,
): Syntax & { kind: "group" } {
  const item = parseChoice(context, flags, depth + 1);
  if (!context.cursor.match(")")) throw context.cursor.invalid("a parenthesis is not closed");
  return { kind: "group", name, item };
}

function character(test: CharacterTest): Syntax {
  return { kind: "character", test, cost: 1 };
}

function literal(codePoint: number, flags: Flags): Syntax {
  const node = { kind: "character" as const, test: literalTest(codePoint, flags), cost: 1 };
  return flags.ignoreCase ? node : { ...node, literal: String.fromCodePoint(codePoint) };
}

function position(where: Position, flags: Flags): Syntax {
  return { kind: "position", position: where, ascii: flags.ascii };
}

/** Groups inside groups. Real: below 10; Python itself stops at its recursion limit. */
const MAX_DEPTH = 100;
