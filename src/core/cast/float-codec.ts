/**
 * Single numbers of every float dtype ⇄ JavaScript numbers (f64), little-endian: slow, plain and exact, for small
 * vectors and as the reference of the bulk kernels.
 *
 * Encoding rounds once to nearest, ties to even. IEEE 754-2019 (f64, f32, f16), bf16, and f8_e4m3fn and f8_e5m2 of
 * "FP8 formats for deep learning", arXiv:2209.05433, without saturation: overflow is infinity, in f8_e4m3fn NaN.
 */

import type { FloatDtype } from "../dtype.ts";

/** One sign bit, then the exponent, then the mantissa. */
interface SmallFormat {
  readonly bytes: 1 | 2;
  readonly mantissaBits: number;
  /** Exponent of the least normal number. */
  readonly minExponent: number;
  /** Code of infinity, or of NaN where there is no infinity: the one after the largest finite code. */
  readonly overflow: number;
  /** Code of the NaN that encoding produces. */
  readonly nan: number;
}

const SMALL_FORMATS: Record<Exclude<FloatDtype, "f64" | "f32">, SmallFormat> = {
  f16: { bytes: 2, mantissaBits: 10, minExponent: -14, overflow: 0x7c00, nan: 0x7e00 },
  bf16: { bytes: 2, mantissaBits: 7, minExponent: -126, overflow: 0x7f80, nan: 0x7fc0 },
  f8_e4m3fn: { bytes: 1, mantissaBits: 3, minExponent: -6, overflow: 0x7f, nan: 0x7f },
  f8_e5m2: { bytes: 1, mantissaBits: 2, minExponent: -14, overflow: 0x7c, nan: 0x7f },
};

/** The element at `offset` bytes; need not be aligned. */
export function decodeElement(dtype: FloatDtype, bytes: Uint8Array, offset: number): number {
  const view = viewOf(bytes);
  if (dtype === "f64") return view.getFloat64(offset, true);
  if (dtype === "f32") return view.getFloat32(offset, true);
  const format = SMALL_FORMATS[dtype];
  return decode(format, format.bytes === 1 ? view.getUint8(offset) : view.getUint16(offset, true));
}

/** Writes `value`, rounded once, at `offset` bytes; need not be aligned. */
export function encodeElement(dtype: FloatDtype, value: number, bytes: Uint8Array, offset: number): void {
  const view = viewOf(bytes);
  if (dtype === "f64") view.setFloat64(offset, value, true);
  else if (dtype === "f32") view.setFloat32(offset, value, true);
  else if (SMALL_FORMATS[dtype].bytes === 2) view.setUint16(offset, encode(SMALL_FORMATS[dtype], value), true);
  else view.setUint8(offset, encode(SMALL_FORMATS[dtype], value));
}

/** The number of the dtype that is nearest to `value`, ties to even, in one rounding. */
export function roundTo(dtype: FloatDtype, value: number): number {
  if (dtype === "f64") return value;
  if (dtype === "f32") return Math.fround(value);
  const format = SMALL_FORMATS[dtype];
  return decode(format, encode(format, value));
}

function decode(format: SmallFormat, code: number): number {
  const signBit = 2 ** (format.bytes * 8 - 1);
  const sign = code >= signBit ? -1 : 1;
  const magnitude = code % signBit;
  if (magnitude === format.overflow && format.overflow !== format.nan) return sign * Number.POSITIVE_INFINITY;
  if (magnitude >= format.overflow) return Number.NaN;
  const implicitOne = 2 ** format.mantissaBits;
  const exponentField = Math.floor(magnitude / implicitOne);
  const mantissa = magnitude % implicitOne;
  // Subnormals have the exponent of the least normal number and no implicit one.
  const steps = exponentField === 0 ? mantissa : implicitOne + mantissa;
  return sign * steps * 2 ** (Math.max(exponentField - 1, 0) + format.minExponent - format.mantissaBits);
}

function encode(format: SmallFormat, value: number): number {
  if (Number.isNaN(value)) return format.nan;
  const signBit = value < 0 || Object.is(value, -0) ? 2 ** (format.bytes * 8 - 1) : 0;
  return signBit + Math.min(encodeMagnitude(format, Math.abs(value)), format.overflow);
}

/** Codes count up with the magnitude, so a mantissa that rounds up past its bits carries into the exponent. */
function encodeMagnitude({ mantissaBits, minExponent, overflow }: SmallFormat, magnitude: number): number {
  if (magnitude === Number.POSITIVE_INFINITY) return overflow;
  const exponent = Math.max(exponentOf(magnitude), minExponent);
  // A power of two divides exactly.
  const steps = roundToEven(magnitude / 2 ** (exponent - mantissaBits));
  return (exponent - minExponent) * 2 ** mantissaBits + steps;
}

/** floor(log2(magnitude)), from the bits; -1023 for zero and the subnormals of f64, which are zero to other dtypes. */
function exponentOf(magnitude: number): number {
  SCRATCH.setFloat64(0, magnitude);
  return (SCRATCH.getUint16(0) >>> 4) - 1023;
}

/** The nearest integer, ties to even, of a number in [0, 2^53). */
function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

const SCRATCH = new DataView(new ArrayBuffer(8));

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
