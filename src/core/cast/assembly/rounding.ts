/**
 * f32 lanes → codes of narrower float dtypes, rounded once to nearest, ties to even.
 *
 * Subnormals included. Overflow becomes infinity, in f8_e4m3fn (which has none) NaN. NaN stays NaN, quiet, with its
 * sign and the upper bits of its payload; in f8 the payload becomes all ones.
 */

import { lanesOf } from "./constant";

const MAGNITUDE = memory.data<i32>([0x7fffffff]);
const EXPONENT = memory.data<i32>([0x7f800000]);
const HALF_SIGN = memory.data<i32>([0x80008000]);
const BYTE_SIGN = memory.data<i32>([0x80808080]);
const ONE = memory.data<i32>([1]);
const BELOW_HALF_STEP = memory.data<i32>([0x7fff]);

/**
 * What `roundMagnitude` needs of a dtype: the f32 bits whose code follows the last finite one, those of the least
 * normal number, and the stored mantissa bits that f32 has more, shifted to its exponent.
 */
const F16 = memory.data<i32>([0x47800000, 0x38800000, 13 << 23]);
const E4M3FN = memory.data<i32>([0x43f00000, 0x3c800000, 20 << 23]);
const E5M2 = memory.data<i32>([0x47800000, 0x38800000, 21 << 23]);

/** 4 + 4 f32 → 8 bf16. */
@inline
export function toBf16(low: v128, high: v128): v128 {
  const codes = i16x8.narrow_i32x4_u(roundBf16(low), roundBf16(high));
  const nan = i16x8.narrow_i32x4_s(f32x4.ne(low, low), f32x4.ne(high, high));
  // A branch that weights never take is cheaper than mending every lane.
  if (!v128.any_true(nan)) return codes;
  const kept = i16x8.narrow_i32x4_u(i32x4.shr_u(low, 16), i32x4.shr_u(high, 16));
  return v128.bitselect(v128.or(kept, i16x8.splat(0x0040)), codes, nan);
}

/** Adds just below half a step, and one more when the kept part is odd. */
@inline
function roundBf16(bits: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), lanesOf(ONE));
  return i32x4.shr_u(i32x4.add(i32x4.add(bits, lanesOf(BELOW_HALF_STEP)), odd), 16);
}

/** 4 + 4 f32 → 8 f16. */
@inline
export function toF16(low: v128, high: v128): v128 {
  // Saturation keeps the sign of a lane.
  const sign = v128.and(i16x8.narrow_i32x4_s(low, high), lanesOf(HALF_SIGN));
  const magnitude = i16x8.narrow_i32x4_u(roundMagnitude(low, F16, 13), roundMagnitude(high, F16, 13));
  const codes = v128.or(magnitude, sign);
  const nan = i16x8.narrow_i32x4_s(f32x4.ne(low, low), f32x4.ne(high, high));
  if (!v128.any_true(nan)) return codes;
  const mask = i32x4.splat(0x03ff);
  const payload = i16x8.narrow_i32x4_u(
    v128.and(i32x4.shr_u(low, 13), mask),
    v128.and(i32x4.shr_u(high, 13), mask),
  );
  return v128.or(codes, v128.and(v128.or(payload, i16x8.splat(0x0200)), nan));
}

/** 4 × 4 f32 → 16 f8_e4m3fn. The code after the last finite one is NaN, so infinity and NaN need no care. */
@inline
export function toF8E4m3fn(a: v128, b: v128, c: v128, d: v128): v128 {
  return toF8(E4M3FN, 20, a, b, c, d);
}

/** 4 × 4 f32 → 16 f8_e5m2. */
@inline
export function toF8E5m2(a: v128, b: v128, c: v128, d: v128): v128 {
  const codes = toF8(E5M2, 21, a, b, c, d);
  const nan = i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(f32x4.ne(a, a), f32x4.ne(b, b)),
    i16x8.narrow_i32x4_s(f32x4.ne(c, c), f32x4.ne(d, d)),
  );
  return v128.any_true(nan) ? v128.or(codes, v128.and(nan, i8x16.splat(0x7f))) : codes;
}

@inline
function toF8(dtype: usize, shift: i32, a: v128, b: v128, c: v128, d: v128): v128 {
  const magnitude = i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_u(roundMagnitude(a, dtype, shift), roundMagnitude(b, dtype, shift)),
    i16x8.narrow_i32x4_u(roundMagnitude(c, dtype, shift), roundMagnitude(d, dtype, shift)),
  );
  const sign = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  return v128.or(magnitude, v128.and(sign, lanesOf(BYTE_SIGN)));
}

/**
 * The code of |x|; magnitudes from the dtype's overflow on, and NaN, get the code after the last finite one.
 *
 * With e the exponent of |x|, but at least that of the least normal number, adding M = 2^(e + shift) puts one step of
 * the dtype at the last bit of the f32 sum. So the addition itself rounds |x| to steps: bits(|x| + M) − bits(M).
 * Steps count the implicit one, so they carry into the exponent by themselves.
 *
 * @param shift stored mantissa bits that f32 has more than the dtype
 */
@inline
function roundMagnitude(bits: v128, dtype: usize, shift: i32): v128 {
  const magnitude = i32x4.min_s(v128.and(bits, lanesOf(MAGNITUDE)), lanesOf(dtype));
  const least = lanesOf(dtype, 4);
  const exponent = i32x4.max_s(v128.and(magnitude, lanesOf(EXPONENT)), least);
  const magic = i32x4.add(exponent, lanesOf(dtype, 8));
  const steps = i32x4.sub(f32x4.add(magnitude, magic), magic);
  return i32x4.add(i32x4.shr_u(i32x4.sub(exponent, least), shift), steps);
}
