import { describe, expect, test } from "vitest";
import { replaceJsonValue } from "../../src/core/json-edit.ts";
import { parseJson } from "../../src/core/json-parser.ts";
import { errorOf } from "../support/errors.ts";

const parse = (text: string | Uint8Array, sizesOnly = false) =>
  parseJson(typeof text === "string" ? new TextEncoder().encode(text) : text, { file: "a.json", sizesOnly });

describe("parseJson", () => {
  test.each([
    ['{"a": [1, -2.5e3, true, false, null, "x"]}', new Map([["a", [1, -2500, true, false, null, "x"]]])],
    [' \t\r\n"\\u0041\\n\\"\\\\\\/é😀\\ud83d\\ude00" ', 'A\n"\\/é😀😀'],
    ["[]", []],
    ["{}", new Map()],
    ["-0", -0],
    [
      '{"__proto__": 1, "constructor": 2}',
      new Map([
        ["__proto__", 1],
        ["constructor", 2],
      ]),
    ],
  ])("reads %s", (text, expected) => {
    expect(parse(text)).toEqual(expected);
  });

  test("leaves the prototype of objects alone", () => {
    parse('{"__proto__": {"polluted": true}}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test.each([
    ["an empty text", "", "INVALID_JSON"],
    ["a trailing comma", "[1,]", "INVALID_JSON"],
    ["single quotes", "{'a': 1}", "INVALID_JSON"],
    ["a comment", "{} // x", "INVALID_JSON"],
    ["two values", "{}{}", "INVALID_JSON"],
    ["NaN", "[NaN]", "INVALID_JSON"],
    ["Infinity", "[Infinity]", "INVALID_JSON"],
    ["a leading zero", "[01]", "INVALID_JSON"],
    ["a leading plus", "[+1]", "INVALID_JSON"],
    ["a bare point", "[1.]", "INVALID_JSON"],
    ["a byte order mark", "\ufeff{}", "INVALID_JSON"],
    ["a raw control character", '"a\nb"', "INVALID_JSON"],
    ["an unknown escape", '"\\x41"', "INVALID_JSON"],
    ["a short unicode escape", '"\\u12"', "INVALID_JSON"],
    ["a lone high surrogate", '"\\ud800"', "INVALID_JSON"],
    ["a lone low surrogate", '"\\udc00"', "INVALID_JSON"],
    ["an open string", '"abc', "INVALID_JSON"],
    ["an open list", "[1", "INVALID_JSON"],
    ["a number beyond a double", "[1e999]", "INVALID_JSON"],
    ["a lone minus", "[-]", "INVALID_JSON"],
    ["a string that ends in a backslash", '"\\\\\\"', "INVALID_JSON"],
    ["nesting of 129 lists", "[".repeat(129) + "]".repeat(129), "INVALID_JSON"],
    ["nesting of a million lists", "[".repeat(1e6), "INVALID_JSON"],
    ["a key twice", '{"a": 1, "a": 2}', "DUPLICATE_KEY"],
    ["a key twice, once escaped", '{"a": 1, "\\u0061": 2}', "DUPLICATE_KEY"],
    ["a key twice inside", '[{"x": {"a": 1, "a": 1}}]', "DUPLICATE_KEY"],
  ])("refuses %s", async (_, text, code) => {
    const error = await errorOf(() => parse(text));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^a\.json: /);
  });

  test.each([
    ["a stray byte", [0x22, 0xff, 0x22]],
    ["an overlong NUL", [0x22, 0xc0, 0x80, 0x22]],
    ["a surrogate in UTF-8", [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ["a cut character", [0x22, 0xe2, 0x82]],
  ])("refuses %s as UTF-8", async (_, bytes) => {
    expect((await errorOf(() => parse(Uint8Array.from(bytes)))).code).toBe("INVALID_UTF8");
  });

  test("accepts 128 levels", () => {
    expect(() => parse("[".repeat(128) + "]".repeat(128))).not.toThrow();
  });

  test.each(["4.0", "4e0", "-0", "-1", "1e3", "0.0", "1E2"])("tells %s from a plain size", (text) => {
    expect(parse(text, true)).toBeNaN();
  });

  test("tells sizes that a double cannot hold", () => {
    expect(parse("9007199254740993", true)).toBe(Number.POSITIVE_INFINITY);
    expect(parse("18446744073709551616", true)).toBe(Number.POSITIVE_INFINITY);
    expect(parse("9007199254740991", true)).toBe(Number.MAX_SAFE_INTEGER);
    expect(parse("999999999999999", true)).toBe(999_999_999_999_999);
    expect(parse("1000000000000000", true)).toBe(1_000_000_000_000_000);
  });
});

test("takes Python's numbers only where it is told to", async () => {
  const text = new TextEncoder().encode("[NaN, Infinity, -Infinity, 1]");
  expect(parseJson(text, { file: "a.json", pythonNumbers: true })).toEqual([Number.NaN, Infinity, -Infinity, 1]);
  expect((await errorOf(() => parseJson(text, { file: "a.json" }))).code).toBe("INVALID_JSON");
  const bad = new TextEncoder().encode("[-NaN]");
  expect((await errorOf(() => parseJson(bad, { file: "a.json", pythonNumbers: true }))).code).toBe("INVALID_JSON");
});

describe("replaceJsonValue", () => {
  test("leaves the numbers that Python writes as they are", () => {
    const text = '{"limit": [0.0, Infinity], "tie": true}';
    expect(replaceJsonValue(text, ["tie"], "false")).toBe('{"limit": [0.0, Infinity], "tie": false}');
  });

  const config = '{\n  "eps": 1e-05,\n  "tie": true,\n  "text": {\n    "vocab": 10\n  }\n}\n';

  test("changes one value and no other byte", () => {
    expect(replaceJsonValue(config, ["tie"], "false")).toBe(config.replace("true", "false"));
    expect(replaceJsonValue(config, ["text", "vocab"], "12")).toBe(config.replace("10", "12"));
  });

  test("adds an absent key behind the last one, indented alike", () => {
    expect(replaceJsonValue(config, ["x"], "1")).toBe(
      '{\n  "eps": 1e-05,\n  "tie": true,\n  "text": {\n    "vocab": 10\n  },\n  "x": 1\n}\n',
    );
    expect(replaceJsonValue("{}", ["x"], "1")).toBe('{"x": 1}');
  });

  test("is not misled by the key inside a string or another object", () => {
    const text = '{"a": "\\"tie\\": 1", "b": {"tie": 2}, "tie": 3}';
    expect(replaceJsonValue(text, ["tie"], "4")).toBe('{"a": "\\"tie\\": 1", "b": {"tie": 2}, "tie": 4}');
  });
});
