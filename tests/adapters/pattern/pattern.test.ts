import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compilePattern, MAX_PATTERN_STEPS } from "../../../src/adapters/pattern/pattern.ts";
import { LoraToolError } from "../../../src/core/errors.ts";

interface Table {
  readonly texts: readonly string[];
  readonly rows: readonly (readonly [pattern: string, digits: string | null, captured?: readonly (string | null)[]])[];
}

// Made by python_table.py, with CPython 3.11.
const table: Table = JSON.parse(readFileSync(new URL("python-table.json", import.meta.url), "utf8"));

function compile(source: string) {
  return compilePattern(
    source,
    { remaining: MAX_PATTERN_STEPS },
    { file: "adapter_config.json", subject: "rank_pattern" },
  );
}

function refusal(source: string): LoraToolError | undefined {
  try {
    compile(source);
    return undefined;
  } catch (error) {
    if (error instanceof LoraToolError) return error;
    throw error;
  }
}

/** Of the processor, so that other programs do not count. */
function millisecondsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

describe("compilePattern", () => {
  test("refuses what Python refuses", () => {
    const refused = table.rows.filter(([, digits]) => digits === null).map(([pattern]) => pattern);
    expect(refused.length).toBeGreaterThan(30);
    const codes = new Map(refused.map((pattern) => [pattern, refusal(pattern)?.code]));
    // What looks like a reference to a group that is not there, and (?x without an end, are called unsupported.
    const unsupported = [...codes].filter(([, code]) => code === "UNSUPPORTED_PATTERN").map(([pattern]) => pattern);
    expect(unsupported.toSorted()).toEqual(["(?x", "\\1", "\\8"].toSorted());
    expect([...codes].filter(([, code]) => code === undefined)).toEqual([]);
  });

  test("finds what Python finds, with match and fullMatch", () => {
    const differences: unknown[] = [];
    for (const [source, digits, captured] of table.rows) {
      if (digits === null || source === "(a)\\1") continue;
      const pattern = compile(source);
      for (const [index, text] of table.texts.entries()) {
        const match = pattern.match(text);
        const digit = (match === undefined ? 0 : 1) + (pattern.fullMatch(text) ? 2 : 0);
        if (digit !== Number(digits[index])) differences.push([source, text, digits[index], digit]);
        if (captured && (match?.captured ?? null) !== captured[index])
          differences.push([source, text, captured[index]]);
      }
    }
    expect(differences).toEqual([]);
  });

  test.each([
    ["(a)\\1", "a back-reference (\\1)"],
    ["(?P<n>a)(?P=n)", "a back-reference (?P=…)"],
    ["(a)?(?(1)b|c)", "a conditional group (?(…)…)"],
    ["(?>a+)b", "an atomic group (?>…)"],
    ["a++", "a possessive quantifier"],
    ["a{1,2}+", "a possessive quantifier"],
    ["\\N{EM DASH}", "a character by its name (\\N)"],
    ["(?x) a", "the verbose flag (?x)"],
    ["(".repeat(101) + ")".repeat(101), "groups nested deeper than 100"],
    ["a".repeat(5_000), "5000 characters"],
  ])("names the construct in %s that it does not follow", (source, construct) => {
    const error = refusal(source);
    expect(error?.code).toBe("UNSUPPORTED_PATTERN");
    expect(error?.message).toContain(construct);
    expect(error?.message).toContain('adapter_config.json: "rank_pattern"');
  });

  test.each([
    ["(.*\\.)?((a+)+$)$", `${"a".repeat(40)}!`],
    ["(.*\\.)?((a|a)*b)$", `${"a".repeat(64)}b!`],
    ["(.*\\.)?((a|aa)+c)$", `${"a".repeat(64)}c!`],
    ["(((((a*)*)*)*)*)*b", `${"a".repeat(1_000)}!b`],
    [".*.*.*.*.*.*.*.*x$", `${"a".repeat(1_000)}x!`],
    ["(?=.*(?=.*(?=.*b)))c", `${"a".repeat(200)}c`],
    ["(?i)([a-z]+)+\\d", "a".repeat(500)],
  ])("finishes %s at once", (source, text) => {
    compile("(?i)[a-z]").match("K");
    const pattern = compile(source);
    const start = process.cpuUsage();
    expect(pattern.match(text)).toBeUndefined();
    expect(millisecondsSince(start)).toBeLessThan(1_000);
  });

  test.each(["(a{0,1000}){0,1000}", "((){0,99999999}){0,999999}", "(?:a{1,60}){1,60}{1,60}", "a{99999999999}"])(
    "refuses %s, which would be too large, without building it",
    (source) => {
      const start = process.cpuUsage();
      expect(refusal(source)?.code).toMatch(/^(UNSUPPORTED|INVALID)_PATTERN$/);
      expect(millisecondsSince(start)).toBeLessThan(1_000);
    },
  );

  test("stops when the steps of all patterns together are spent", () => {
    const budget = { remaining: 1_000 };
    const pattern = compilePattern("(a|b)*c", budget);
    expect(() => {
      for (let run = 0; run < 100; run++) pattern.match("ababababxc");
    }).toThrow(expect.objectContaining({ code: "UNSUPPORTED_PATTERN" }));
  });

  test("escapes what the pattern holds in errors", () => {
    expect(refusal("(\u001b[31m")?.message).toContain("\\u{1b}");
  });
});
