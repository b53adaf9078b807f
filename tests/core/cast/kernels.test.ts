import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { decodeElement, encodeElement } from "../../../src/core/cast/float-codec.ts";
import { createKernels } from "../../../src/core/cast/kernels.ts";
import { FLOAT_DTYPES, type FloatDtype, floatBytes } from "../../../src/core/dtype.ts";
import {
  bitsOf,
  bytesOfCodes,
  codesOfBytes,
  OVERFLOW_CODE,
  randomBits,
  roundingCases,
  SMALL_DTYPES,
} from "./float-grid.ts";

const kernels = createKernels();

function narrow(dtype: FloatDtype, source: Float32Array): Uint8Array {
  const target = new Uint8Array(source.length * floatBytes(dtype));
  kernels.narrow(dtype, source, target);
  return target;
}

function widen(dtype: FloatDtype, source: Uint8Array): Float32Array {
  const target = new Float32Array(source.byteLength / floatBytes(dtype));
  kernels.widen(dtype, source, target);
  return target;
}

function allCodes(dtype: FloatDtype): number[] {
  return Array.from({ length: 2 ** (8 * floatBytes(dtype)) }, (_, code) => code);
}

describe("widen", () => {
  test.each(SMALL_DTYPES)("reads every code of %s as the scalar codec does", (dtype) => {
    const codes = allCodes(dtype);
    const bytes = bytesOfCodes(dtype, codes);
    const widened = widen(dtype, bytes);
    const wrong = codes.filter((code) => {
      return !Object.is(widened[code], decodeElement(dtype, bytes, code * floatBytes(dtype)));
    });
    expect(wrong).toEqual([]);
  });

  test.each<[FloatDtype, number, number]>([
    ["bf16", 0x7f81, 0x7f810000],
    ["f16", 0x7c01, 0x7fc02000],
    ["f16", 0xfe05, 0xffc0a000],
    ["f8_e4m3fn", 0xff, 0xfff00000],
    ["f8_e5m2", 0x7d, 0x7fe00000],
    ["f8_e5m2", 0xfe, 0xffc00000],
  ])("keeps sign and payload of NaN from %s: %i becomes %i", (dtype, code, bits) => {
    expect(bitsOf(widen(dtype, bytesOfCodes(dtype, [code])))[0]).toBe(bits);
  });

  test("rounds f64 to nearest even, with subnormals and overflow", () => {
    const values = Float64Array.of(1 + 2 ** -24, 1 + 3 * 2 ** -24, 1 + 2 ** -24 + 2 ** -50, 2 ** -150, 3e-45, 4e38, -0);
    expect(widen("f64", new Uint8Array(values.buffer))).toEqual(Float32Array.from(values, Math.fround));
  });
});

describe("narrow", () => {
  test.each(SMALL_DTYPES)("rounds to nearest even around every number of %s", (dtype) => {
    const cases = roundingCases(dtype);
    const codes = codesOfBytes(
      dtype,
      narrow(
        dtype,
        Float32Array.from(cases, ({ value }) => value),
      ),
    );
    expect(cases.filter(({ code }, index) => codes[index] !== code)).toEqual([]);
  });

  test.each(SMALL_DTYPES)("gives back every code of %s that is not NaN", (dtype) => {
    const codes = allCodes(dtype);
    const again = codesOfBytes(dtype, narrow(dtype, widen(dtype, bytesOfCodes(dtype, codes))));
    const signBit = 2 ** (8 * floatBytes(dtype) - 1);
    const infinity = dtype === "f8_e4m3fn" ? -1 : OVERFLOW_CODE[dtype];
    const isNumber = (code: number) => code % signBit < OVERFLOW_CODE[dtype] || code % signBit === infinity;
    expect(codes.filter((code) => isNumber(code) && again[code] !== code)).toEqual([]);
    expect(codes.filter((code) => !isNumber(code) && isNumber(again[code] ?? 0))).toEqual([]);
  });

  test.each(FLOAT_DTYPES)("rounds f32 of random bits to %s as the scalar codec does", (dtype) => {
    const source = randomBits(50_000, dtype);
    const found = narrow(dtype, source);
    const expected = new Uint8Array(found.byteLength);
    const width = floatBytes(dtype);
    for (const [index, value] of source.entries()) {
      encodeElement(dtype, value, expected, index * width);
      // Which NaN it is, the payload tests say.
      const stayedNaN = Number.isNaN(decodeElement(dtype, found, index * width));
      if (Number.isNaN(value) && stayedNaN)
        expected.set(found.subarray(index * width, (index + 1) * width), index * width);
    }
    expect(Buffer.compare(found, expected)).toBe(0);
  });

  test.each<[FloatDtype, number, number]>([
    ["bf16", 0x7f800001, 0x7fc0],
    ["bf16", 0xffffffff, 0xffff],
    ["bf16", 0xff812345, 0xffc1],
    ["f16", 0x7f800001, 0x7e00],
    ["f16", 0xff812345, 0xfe09],
    ["f8_e4m3fn", 0xff800001, 0xff],
    ["f8_e5m2", 0x7f800001, 0x7f],
    ["f8_e5m2", 0xffc00000, 0xff],
  ])("keeps NaN a quiet NaN of its sign in %s: %i becomes %i", (dtype, bits, code) => {
    // A whole block, and one NaN among numbers.
    const source = new Float32Array(17).fill(1.5);
    new Uint32Array(source.buffer)[5] = bits;
    const codes = codesOfBytes(dtype, narrow(dtype, source));
    expect(codes[5]).toBe(code);
    expect(new Set(codes.toSpliced(5, 1))).toEqual(new Set([codes[0]]));
  });

  test("copies f32 and widens to f64 without change", () => {
    const source = randomBits(1_000, "copy");
    expect(bitsOf(widen("f32", narrow("f32", source)))).toEqual(bitsOf(source));
    expect(new Float64Array(narrow("f64", source).buffer)).toEqual(Float64Array.from(source));
  });
});

describe("countNonFinite", () => {
  test("counts infinities and NaNs of both signs in f32 of random bits", () => {
    for (const length of [0, 1, 15, 16, 17, 50_000]) {
      const values = randomBits(length, "non-finite");
      const expected = values.filter((value) => !Number.isFinite(value)).length;
      expect(kernels.countNonFinite(values)).toBe(expected);
      expect(length < 50_000 || expected > 100).toBe(true);
    }
  });
});

test("the kernels compile where code from strings is forbidden", () => {
  const file = fileURLToPath(new URL("../../../src/core/cast/kernels.wasm", import.meta.url));
  const script = "new WebAssembly.Module(require('fs').readFileSync(process.argv[1]))";
  const run = spawnSync(process.execPath, ["--disallow-code-generation-from-strings", "-e", script, file]);
  expect(run.status, run.stderr.toString()).toBe(0);
});
