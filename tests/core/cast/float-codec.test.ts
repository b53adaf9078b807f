import { describe, expect, test } from "vitest";
import { decodeElement, encodeElement, roundTo } from "../../../src/core/cast/float-codec.ts";
import { FLOAT_DTYPES, type FloatDtype, floatBytes } from "../../../src/core/dtype.ts";
import { bytesOfCodes, codesOfBytes, finiteValues, roundingCases, SMALL_DTYPES } from "./float-grid.ts";

const { POSITIVE_INFINITY: INFINITY, NaN: NAN } = Number;

function encoded(dtype: FloatDtype, value: number): number {
  const bytes = new Uint8Array(floatBytes(dtype));
  encodeElement(dtype, value, bytes, 0);
  return codesOfBytes(dtype, bytes)[0] ?? -1;
}

describe("decodeElement", () => {
  test.each<[FloatDtype, number, number]>([
    ["f16", 0x3c00, 1],
    ["f16", 0xc100, -2.5],
    ["f16", 0x7bff, 65_504],
    ["f16", 0x0400, 2 ** -14],
    ["f16", 0x0001, 2 ** -24],
    ["f16", 0x8000, -0],
    ["f16", 0x7c00, INFINITY],
    ["f16", 0xfc00, -INFINITY],
    ["f16", 0x7c01, NAN],
    ["bf16", 0x3f80, 1],
    ["bf16", 0x7f7f, (2 - 2 ** -7) * 2 ** 127],
    ["bf16", 0x0001, 2 ** -133],
    ["bf16", 0xff80, -INFINITY],
    ["bf16", 0x7fc0, NAN],
    ["f8_e4m3fn", 0x38, 1],
    ["f8_e4m3fn", 0x7e, 448],
    ["f8_e4m3fn", 0x01, 2 ** -9],
    ["f8_e4m3fn", 0xff, NAN],
    ["f8_e5m2", 0x3c, 1],
    ["f8_e5m2", 0x7b, 57_344],
    ["f8_e5m2", 0x01, 2 ** -16],
    ["f8_e5m2", 0xfc, -INFINITY],
    ["f8_e5m2", 0x7d, NAN],
  ])("reads %s code %i as %d", (dtype, code, value) => {
    expect(decodeElement(dtype, bytesOfCodes(dtype, [code]), 0)).toBe(value);
  });

  test("reads f32 and f64 at any byte offset, little-endian", () => {
    const bytes = new Uint8Array(13);
    new DataView(bytes.buffer).setFloat32(1, -0.15625, true);
    new DataView(bytes.buffer).setFloat64(5, Math.PI, true);
    expect(decodeElement("f32", bytes, 1)).toBe(-0.15625);
    expect(decodeElement("f64", bytes, 5)).toBe(Math.PI);
  });

  test.each(SMALL_DTYPES)("reads ascending codes of %s as ascending numbers", (dtype) => {
    const values = finiteValues(dtype);
    expect(values[0]).toBe(0);
    expect(values.every((value, code) => code === 0 || value > (values[code - 1] ?? 0))).toBe(true);
  });
});

describe("encodeElement", () => {
  test.each(SMALL_DTYPES)("rounds to nearest even around every number of %s", (dtype) => {
    const wrong = roundingCases(dtype).filter(({ value, code }) => encoded(dtype, value) !== code);
    expect(wrong).toEqual([]);
  });

  test.each<[FloatDtype, number, number]>([
    ["f16", INFINITY, 0x7c00],
    ["f16", -1e300, 0xfc00],
    ["f16", NAN, 0x7e00],
    ["bf16", 1e39, 0x7f80],
    ["bf16", NAN, 0x7fc0],
    ["f8_e4m3fn", 464, 0x7e],
    ["f8_e4m3fn", 465, 0x7f],
    ["f8_e4m3fn", -INFINITY, 0xff],
    ["f8_e4m3fn", NAN, 0x7f],
    ["f8_e5m2", 61_440, 0x7c],
    ["f8_e5m2", NAN, 0x7f],
    ["f8_e5m2", 5e-324, 0],
    ["f8_e5m2", -5e-324, 0x80],
  ])("writes to %s %d as code %i", (dtype, value, code) => {
    expect(encoded(dtype, value)).toBe(code);
  });

  test.each(FLOAT_DTYPES)("writes %s at any byte offset and nothing beside it", (dtype) => {
    const bytes = new Uint8Array(12).fill(0xa5);
    encodeElement(dtype, -1.5, bytes, 1);
    expect(decodeElement(dtype, bytes, 1)).toBe(-1.5);
    const end = 1 + floatBytes(dtype);
    expect([bytes[0], ...bytes.subarray(end)].every((byte) => byte === 0xa5)).toBe(true);
  });
});

describe("roundTo", () => {
  test("rounds an f64 once, where rounding to f32 first would give another number", () => {
    const value = 1 + 2 ** -8 + 2 ** -40;
    expect(roundTo("bf16", value)).toBe(1 + 2 ** -7);
    expect(roundTo("bf16", Math.fround(value))).toBe(1);
  });

  test.each<[FloatDtype, number]>([
    ["f64", 0.1],
    ["f32", Math.fround(0.1)],
    ["f16", 0.0999755859375],
    ["bf16", 0.10009765625],
    ["f8_e4m3fn", 0.1015625],
    ["f8_e5m2", 0.09375],
  ])("rounds 0.1 to %s as %d", (dtype, expected) => {
    expect(roundTo(dtype, 0.1)).toBe(expected);
    expect(roundTo(dtype, -0.1)).toBe(-expected);
  });

  test.each(FLOAT_DTYPES)("keeps both zeros in %s", (dtype) => {
    expect(roundTo(dtype, 0)).toBe(0);
    expect(roundTo(dtype, -0)).toBe(-0);
  });
});
