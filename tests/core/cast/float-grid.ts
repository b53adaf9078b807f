/** The small float dtypes as ordered lists of their numbers, and helpers to compare bits. */

import { decodeElement } from "../../../src/core/cast/float-codec.ts";
import { type FloatDtype, floatBytes } from "../../../src/core/dtype.ts";
import { fillUniform, philoxKey } from "../../../src/core/random.ts";

export const SMALL_DTYPES = ["f16", "bf16", "f8_e4m3fn", "f8_e5m2"] as const;

/** The code after the largest finite one, from the formats' definitions. */
export const OVERFLOW_CODE: Record<(typeof SMALL_DTYPES)[number], number> = {
  f16: 0x7c00,
  bf16: 0x7f80,
  f8_e4m3fn: 0x7f,
  f8_e5m2: 0x7c,
};

/** Little-endian bytes of codes. */
export function bytesOfCodes(dtype: FloatDtype, codes: readonly number[]): Uint8Array {
  return floatBytes(dtype) === 1 ? Uint8Array.from(codes) : new Uint8Array(Uint16Array.from(codes).buffer);
}

/** Codes of little-endian bytes. */
export function codesOfBytes(dtype: FloatDtype, bytes: Uint8Array): number[] {
  return floatBytes(dtype) === 1 ? [...bytes] : [...new Uint16Array(bytes.slice().buffer)];
}

/** Values of the codes 0, 1, 2, … up to the largest finite one: they ascend. */
export function finiteValues(dtype: (typeof SMALL_DTYPES)[number]): number[] {
  const codes = Array.from({ length: OVERFLOW_CODE[dtype] }, (_, code) => code);
  const bytes = bytesOfCodes(dtype, codes);
  return codes.map((code) => decodeElement(dtype, bytes, code * floatBytes(dtype)));
}

/**
 * Numbers between neighbours of the dtype with the code that each must round to: every number, every midpoint and the
 * f32 just below and above it, positive and negative. The step after the largest finite number leads to overflow.
 */
export function roundingCases(dtype: (typeof SMALL_DTYPES)[number]): { value: number; code: number }[] {
  const values = finiteValues(dtype);
  const signBit = 2 ** (floatBytes(dtype) * 8 - 1);
  const cases: { value: number; code: number }[] = [];
  for (const [code, value] of values.entries()) {
    const last = code === values.length - 1;
    const step = last ? value - (values[code - 1] ?? 0) : (values[code + 1] ?? 0) - value;
    const middle = value + step / 2;
    const found = [
      { value, code },
      { value: nextF32(middle, -1), code },
      { value: middle, code: code % 2 === 0 ? code : code + 1 },
      { value: nextF32(middle, 1), code: code + 1 },
    ];
    cases.push(...found, ...found.map((one) => ({ value: -one.value, code: one.code + signBit })));
  }
  return cases;
}

/** The f32 after or before a positive f32. */
export function nextF32(value: number, direction: 1 | -1): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  return new Float32Array(Uint32Array.of((bits[0] ?? 0) + direction).buffer)[0] ?? 0;
}

/** f32 of random bits: every exponent, both signs, infinities and NaNs. */
export function randomBits(length: number, purpose: string): Float32Array {
  const uniform = new Float32Array(2 * length);
  fillUniform(uniform, philoxKey(1, purpose), 0);
  const bits = Uint32Array.from({ length }, (_, index) => {
    return (uniform[2 * index] ?? 0) * 65_536 + Math.floor((uniform[2 * index + 1] ?? 0) * 65_536) * 65_536;
  });
  return new Float32Array(bits.buffer);
}

/** The raw bits of f32, for comparisons that tell NaNs and zeros apart. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer);
}
