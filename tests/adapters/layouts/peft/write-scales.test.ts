import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { patternCompiler, patternTable } from "../../../../src/adapters/layouts/peft/name-rules.ts";
import {
  anchoredKey,
  assignAlphas,
  type ScaleSettings,
  writeScales,
} from "../../../../src/adapters/layouts/peft/write-scales.ts";

const SETTINGS: ScaleSettings = {
  convention: "lora",
  rank: 8,
  alpha: 16,
  rankPattern: new Map(),
  alphaPattern: new Map(),
};

const assign = (before: object, alphas: object, fallback: number) =>
  Object.fromEntries(
    assignAlphas(
      new Map(Object.entries(before)),
      new Map(Object.entries(alphas)),
      fallback,
      (alpha) => alpha * 10,
      "f",
    ),
  );

const find = (patterns: ReadonlyMap<string, number>, name: string) =>
  patternTable(patterns, "alpha_pattern", patternCompiler("f")).find(name);

describe("assignAlphas", () => {
  test("needs no key where the alpha of modules without a key is right", () => {
    expect(assign({}, { "a.q": 4, "a.v": 4 }, 4)).toEqual({});
  });

  test("gives a module with another alpha its full name, anchored and escaped", () => {
    expect(assign({}, { "a.0.q": 4, "a.1.q": 5 }, 4)).toEqual({ "^a\\.1\\.q$": 5 });
  });

  test("keeps a key, with its new value, where all modules that it hits have one alpha", () => {
    expect(assign({ q: 1, v: 2 }, { "a.0.q": 7, "a.1.q": 7, "a.0.v": 4 }, 4)).toEqual({ q: 7, v: 4 });
  });

  test("replaces a key whose modules part by full names", () => {
    expect(assign({ q: 1 }, { "a.0.q": 7, "a.1.q": 4, "a.2.q": 7 }, 4)).toEqual({ "^a\\.0\\.q$": 7, "^a\\.2\\.q$": 7 });
  });

  test("leaves no two keys that disagree about a module", () => {
    expect(assign({ "0.q": 1, q: 2 }, { "a.0.q": 7, "a.1.q": 9 }, 4)).toEqual({ "0.q": 7, "^a\\.1\\.q$": 9 });
  });

  test("drops a full name that is not needed any more", () => {
    expect(assign({ "^a\\.0\\.q$": 9 }, { "a.0.q": 4 }, 4)).toEqual({});
  });

  test("converts keys that hit nothing like the others", () => {
    expect(assign({ nothing: 2 }, { "a.q": 4 }, 4)).toEqual({ nothing: 20 });
  });

  test("whatever the order of the keys, every module gets its alpha", () => {
    const name = fc.stringMatching(/^(?:[a-c]\.){0,2}[qv.()[\]*+?$^|{}\\-]{0,3}[qv]$/);
    const key = fc.constantFrom("q", "v", ".*q", "a.q", "b", "[qv]", "a\\..*");
    const alpha = fc.constantFrom(1, 2, 4);
    fc.assert(
      fc.property(
        fc.dictionary(key, alpha),
        fc.uniqueArray(fc.tuple(name, alpha), { selector: ([text]) => text, minLength: 1, maxLength: 6 }),
        alpha,
        fc.boolean(),
        (before, modules, fallback, reverse) => {
          const assigned = assignAlphas(new Map(Object.entries(before)), new Map(modules), fallback, (old) => old, "f");
          const entries = [...assigned].sort(([a], [b]) => (a < b !== reverse ? -1 : 1));
          for (const [text, wanted] of modules) expect(find(new Map(entries), text) ?? fallback, text).toBe(wanted);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test("anchoredKey hits its name and nothing that contains it", () => {
  const key = new Map([[anchoredKey("model.0.q+p"), 1]]);
  expect(find(key, "model.0.q+p")).toBe(1);
  for (const wrong of ["x.model.0.q+p", "modelx0.q+p", "model.0.q+p.x", "model.0.qqp"]) {
    expect(find(key, wrong), wrong).toBeUndefined();
  }
});

describe("writeScales", () => {
  const text = '{\n  "alpha_pattern": {},\n  "lora_alpha":   16.0,\n  "r": 8,\n  "x": [1.50, "lora_alpha"]\n}\n';

  test("changes values and keeps every other byte", () => {
    const after: ScaleSettings = { ...SETTINGS, convention: "rslora", alpha: 5.5, alphaPattern: new Map([["^a$", 3]]) };
    expect(writeScales(text, SETTINGS, after)).toBe(
      '{\n  "alpha_pattern": {\n    "^a$": 3\n  },\n  "lora_alpha":   5.5,\n  "r": 8,\n  "x": [1.50, "lora_alpha"],\n  "use_rslora": true\n}\n',
    );
  });

  test("changes nothing where nothing changes, not even the spelling of a number", () => {
    expect(writeScales(text, SETTINGS, SETTINGS)).toBe(text);
  });

  test("keeps a file of one line on one line", () => {
    const line = '{"r":8,"lora_alpha":16,"alpha_pattern":{"q":1}}';
    const before = { ...SETTINGS, alphaPattern: new Map([["q", 1]]) };
    const after = {
      ...SETTINGS,
      alphaPattern: new Map([
        ["q", 2.5],
        ["^v$", 1e30],
      ]),
    };
    expect(writeScales(line, before, after)).toBe('{"r":8,"lora_alpha":16,"alpha_pattern":{"q": 2.5, "^v$": 1e+30}}');
  });

  test("writes no whole number that Python would take for an integer of another value", () => {
    const after = { ...SETTINGS, alpha: 2 ** 60 };
    expect(writeScales('{"lora_alpha":16}', SETTINGS, after)).toBe('{"lora_alpha":1.152921504606847e+18}');
  });
});
