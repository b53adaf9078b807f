/**
 * bf16, f16, f8_e4m3fn, f8_e5m2 and f64 → f32.
 *
 * Exact but for f64, which rounds to nearest even. NaN keeps sign and payload and comes out quiet, except from bf16,
 * whose bits are the upper half of the f32 and stay as they are (so does PyTorch).
 */

import { lanesOf } from "./constant";

const HALF_MAGNITUDE = memory.data<i32>([0x7fff7fff]);
const HALF_LAST_FINITE = memory.data<i32>([0x7bff7bff]);
const SIGN = memory.data<i32>([0x80000000]);
/** Exponent and mantissa of an f16 after a shift by 13, the least normal one, and exponents of f32. */
const F16_MAGNITUDE = memory.data<i32>([0x0fffffff]);
const F16_LEAST_NORMAL = memory.data<i32>([0x00800000]);
const EXPONENT_112 = memory.data<i32>([112 << 23]);
const EXPONENT_113 = memory.data<i32>([113 << 23]);

const BYTE_SIGN = memory.data<i32>([0x80808080]);
const BYTE_MAGNITUDE = memory.data<i32>([0x7f7f7f7f]);
const E4M3FN_LEAST_NORMAL = memory.data<i32>([0x08080808]);
const E4M3FN_EXPONENT = memory.data<i32>([0x3c3c3c3c]);
const E5M2_LEAST_NORMAL = memory.data<i32>([0x04040404]);
const E5M2_LAST_FINITE = memory.data<i32>([0x7b7b7b7b]);
const E5M2_INFINITY = memory.data<i32>([0x7c7c7c7c]);
const E5M2_EXPONENT = memory.data<i32>([0x38383838]);
const QUIET = memory.data<i32>([0x40404040]);

/** bf16 of m · 2^-9 for m = 0 … 7 (f8_e4m3fn) and of m · 2^-16 for m = 0 … 3 (f8_e5m2): upper and lower bytes. */
const E4M3FN_UPPER = memory.data<u8>([0, 0x3b, 0x3b, 0x3b, 0x3c, 0x3c, 0x3c, 0x3c, 0, 0, 0, 0, 0, 0, 0, 0]);
const E4M3FN_LOWER = memory.data<u8>([0, 0, 0x80, 0xc0, 0, 0x20, 0x40, 0x60, 0, 0, 0, 0, 0, 0, 0, 0]);
const E5M2_UPPER = memory.data<u8>([0, 0x37, 0x38, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const E5M2_LOWER = memory.data<u8>([0, 0x80, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** f32 bits = bf16 bits · 2^16. */
export function widenBf16(source: usize, target: usize, count: usize): void {
  const zero = i32x4.splat(0);
  for (const end = source + (count << 1); source < end; source += 32, target += 64) {
    const low = v128.load(source);
    const high = v128.load(source, 16);
    v128.store(target, upperHalves(zero, low), 0);
    v128.store(target, upperHalvesHigh(zero, low), 16);
    v128.store(target, upperHalves(zero, high), 32);
    v128.store(target, upperHalvesHigh(zero, high), 48);
  }
}

export function widenF16(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 1); source < end; source += 16, target += 32) {
    const codes = v128.load(source);
    const magnitude = v128.and(codes, lanesOf(HALF_MAGNITUDE));
    let low = fromF16(i32x4.extend_low_i16x8_s(codes));
    let high = fromF16(i32x4.extend_high_i16x8_s(codes));
    const special = i16x8.gt_s(magnitude, lanesOf(HALF_LAST_FINITE));
    // A branch that weights never take is cheaper than mending every lane.
    if (v128.any_true(special)) {
      const nan = i16x8.gt_s(magnitude, i16x8.splat(0x7c00));
      const mend = v128.or(v128.and(special, i16x8.splat(0x7f80)), v128.and(nan, i16x8.splat(0x0040)));
      const zero = i32x4.splat(0);
      low = v128.or(low, upperHalves(zero, mend));
      high = v128.or(high, upperHalvesHigh(zero, mend));
    }
    v128.store(target, low);
    v128.store(target, high, 16);
  }
}

export function widenF8E4m3fn(source: usize, target: usize, count: usize): void {
  for (const end = source + count; source < end; source += 16, target += 64) {
    const code = v128.load(source);
    const magnitude = v128.and(code, lanesOf(BYTE_MAGNITUDE));
    const subnormal = i8x16.lt_s(magnitude, lanesOf(E4M3FN_LEAST_NORMAL));
    const nan = i8x16.eq(magnitude, lanesOf(BYTE_MAGNITUDE));
    // The exponent grows by 120, which is 60 in the upper byte of a bf16: its lowest bit lies in the lower byte.
    const upper = i8x16.add(i8x16.shr_u(magnitude, 4), lanesOf(E4M3FN_EXPONENT));
    const lower = i8x16.shl(magnitude, 4);
    storeBf16Bytes(
      target,
      code,
      v128.or(v128.bitselect(i8x16.swizzle(v128.load(E4M3FN_UPPER), magnitude), upper, subnormal), nan),
      v128.bitselect(i8x16.swizzle(v128.load(E4M3FN_LOWER), magnitude), lower, subnormal),
    );
  }
}

export function widenF8E5m2(source: usize, target: usize, count: usize): void {
  for (const end = source + count; source < end; source += 16, target += 64) {
    const code = v128.load(source);
    const magnitude = v128.and(code, lanesOf(BYTE_MAGNITUDE));
    const subnormal = i8x16.lt_s(magnitude, lanesOf(E5M2_LEAST_NORMAL));
    const special = i8x16.gt_s(magnitude, lanesOf(E5M2_LAST_FINITE));
    const nan = i8x16.gt_s(magnitude, lanesOf(E5M2_INFINITY));
    // The exponent grows by 112, which is 56 in the upper byte of a bf16.
    const upper = i8x16.add(i8x16.shr_u(magnitude, 3), lanesOf(E5M2_EXPONENT));
    const lower = v128.or(i8x16.shl(magnitude, 5), v128.and(nan, lanesOf(QUIET)));
    storeBf16Bytes(
      target,
      code,
      v128.or(v128.bitselect(i8x16.swizzle(v128.load(E5M2_UPPER), magnitude), upper, subnormal), special),
      v128.bitselect(i8x16.swizzle(v128.load(E5M2_LOWER), magnitude), lower, subnormal),
    );
  }
}

export function widenF64(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 3); source < end; source += 32, target += 16) {
    const low = f32x4.demote_f64x2_zero(v128.load(source));
    const high = f32x4.demote_f64x2_zero(v128.load(source, 16));
    v128.store(target, v128.shuffle<i64>(low, high, 0, 2));
  }
}

/** Four finite f16, sign-extended to i32 lanes → f32. */
@inline
export function fromF16(wide: v128): v128 {
  const shifted = i32x4.shl(wide, 13);
  const magnitude = v128.and(shifted, lanesOf(F16_MAGNITUDE));
  const subnormal = i32x4.lt_s(magnitude, lanesOf(F16_LEAST_NORMAL));
  // A subnormal is read as 2^-14 · (1 + m/1024), less the 2^-14: arithmetic on subnormals of f32 is slow on some CPUs.
  const raised = i32x4.sub(i32x4.add(magnitude, lanesOf(EXPONENT_112)), i32x4.shl(subnormal, 23));
  const value = f32x4.sub(raised, v128.and(subnormal, lanesOf(EXPONENT_113)));
  return v128.or(value, v128.and(shifted, lanesOf(SIGN)));
}

/** 16 codes, for their signs, and the bytes of their magnitudes as bf16 → 16 f32. The top bit of `upper` is ignored. */
@inline
function storeBf16Bytes(target: usize, code: v128, upper: v128, lower: v128): void {
  const signed = v128.bitselect(code, upper, lanesOf(BYTE_SIGN));
  const zero = i32x4.splat(0);
  const first = v128.shuffle<i8>(lower, signed, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const second = v128.shuffle<i8>(lower, signed, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store(target, upperHalves(zero, first), 0);
  v128.store(target, upperHalvesHigh(zero, first), 16);
  v128.store(target, upperHalves(zero, second), 32);
  v128.store(target, upperHalvesHigh(zero, second), 48);
}

/** Lanes 0 … 3 of eight 16-bit lanes, each as the upper half of 32 bits. */
@inline
export function upperHalves(zero: v128, halves: v128): v128 {
  return v128.shuffle<i16>(zero, halves, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** Lanes 4 … 7, likewise. */
@inline
export function upperHalvesHigh(zero: v128, halves: v128): v128 {
  return v128.shuffle<i16>(zero, halves, 4, 12, 5, 13, 6, 14, 7, 15);
}
