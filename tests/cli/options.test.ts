import { InvalidArgumentError } from "commander";
import { describe, expect, test } from "vitest";
import { parseCount, parsePart, parseSize, parseWeightedAdapter } from "../../src/cli/options.ts";
import { UsageError } from "../../src/core/errors.ts";

describe("sizes", () => {
  test.each([
    ["1", 1],
    ["5GB", 5e9],
    ["5gb", 5e9],
    ["1.5 MB", 1_500_000],
    ["2KiB", 2048],
    ["3MiB", 3 * 2 ** 20],
    ["4GiB", 2 ** 32],
    ["1TB", 1e12],
    ["100B", 100],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["", "GB", "0", "0GB", "-1GB", "5XB", "5 G B", "1e3", "0x10", "1,5GB", "9999999TB", "0.5B"])(
    "%j is refused",
    (text) => {
      expect(() => parseSize(text)).toThrow(InvalidArgumentError);
    },
  );
});

test("counts are whole numbers of at least one", () => {
  expect(parseCount("12")).toBe(12);
  for (const text of ["0", "-1", "1.5", "1e3", "", " 1", "0x1", "99999999999999999999"]) {
    expect(() => parseCount(text), text).toThrow(InvalidArgumentError);
  }
});

test("parts are counted from one", () => {
  expect(parsePart("2/8")).toEqual({ index: 2, count: 8 });
  for (const text of ["0/2", "3/2", "1/0", "1", "1/2/3", "a/b", "1/10001", "-1/2"]) {
    expect(() => parsePart(text), text).toThrow(InvalidArgumentError);
  }
});

describe("an adapter with a weight", () => {
  test.each([
    ["a", "a", 1],
    ["a=0.5", "a", 0.5],
    ["a=-2", "a", -2],
    ["a=1e-3", "a", 0.001],
    ["r=8/adapter", "r=8/adapter", 1],
    ["r=8/adapter=0.5", "r=8/adapter", 0.5],
    ["r=8=1", "r=8", 1],
    ["line\nbreak=2", "line\nbreak", 2],
  ])("%j is read", (text, path, weight) => {
    expect(parseWeightedAdapter(text)).toEqual({ path, weight });
  });

  test.each(["a=", "a= ", "a=x", "a=NaN", "a=Infinity", "a=1e999", "a=0,5"])("%j is refused", (text) => {
    expect(() => parseWeightedAdapter(text)).toThrow(UsageError);
  });
});
