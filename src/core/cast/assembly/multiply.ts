/**
 * f32, bf16 or f16 numbers times one factor, in double precision, each product rounded once to nearest even; and what
 * rounding did.
 *
 * Three f64 at `results`: products that are not exact, the largest error relative to its product, products that are
 * infinite or NaN in the dtype. `target` may be `source`.
 *
 * A double is first rounded to an f32 whose last bit tells that something was cut off (round to odd), and then to 16 bits:
 * the result is that of one rounding (Boldo, Melquiond 2008), and differs from the f32 exactly where it was rounded.
 */

import { toBf16, toF16 } from "./rounding";
import { fromF16, upperHalves, upperHalvesHigh } from "./widen";

const HALF_MAGNITUDE = memory.data<i32>([0x7fff7fff]);
const BF16_LAST_FINITE = memory.data<i32>([0x7f7f7f7f]);
const F16_LAST_FINITE = memory.data<i32>([0x7bff7bff]);

export function multiplyF32(source: usize, target: usize, count: usize, factor: f64, results: usize): void {
  const by = f64x2.splat(factor);
  const largestFinite = f64x2.splat(3.4028234663852886e38);
  let rounded = i64x2.splat(0);
  let nonFinite = i64x2.splat(0);
  let error = f64x2.splat(0);
  for (const end = source + (count << 2); source < end; source += 16, target += 16) {
    const values = v128.load(source);
    const low = f64x2.mul(f64x2.promote_low_f32x4(values), by);
    const high = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i64>(values, values, 1, 1)), by);
    const lowResult = f32x4.demote_f64x2_zero(low);
    const highResult = f32x4.demote_f64x2_zero(high);
    v128.store(target, v128.shuffle<i64>(lowResult, highResult, 0, 2));
    const lowBack = f64x2.promote_low_f32x4(lowResult);
    const highBack = f64x2.promote_low_f32x4(highResult);
    // Comparisons give -1 where they hold.
    rounded = i64x2.add(rounded, i64x2.add(f64x2.ne(lowBack, low), f64x2.ne(highBack, high)));
    const lowFinite = f64x2.le(f64x2.abs(lowBack), largestFinite);
    const highFinite = f64x2.le(f64x2.abs(highBack), largestFinite);
    nonFinite = i64x2.add(nonFinite, i64x2.add(v128.not(lowFinite), v128.not(highFinite)));
    const lowError = f64x2.abs(f64x2.sub(lowBack, low));
    const highError = f64x2.abs(f64x2.sub(highBack, high));
    const lowGrows = f64x2.gt(lowError, f64x2.mul(error, f64x2.abs(low)));
    const highGrows = f64x2.gt(highError, f64x2.mul(error, f64x2.abs(high)));
    // Divisions are slow, and few products are worse than all before them.
    if (v128.any_true(v128.or(lowGrows, highGrows))) {
      // pmax keeps its first operand where the second is NaN, which is 0 / 0.
      error = f64x2.pmax(error, f64x2.div(lowError, f64x2.abs(low)));
      error = f64x2.pmax(error, f64x2.div(highError, f64x2.abs(high)));
    }
  }
  store<f64>(results, -<f64>(i64x2.extract_lane(rounded, 0) + i64x2.extract_lane(rounded, 1)));
  store<f64>(results, max(f64x2.extract_lane(error, 0), f64x2.extract_lane(error, 1)), 8);
  store<f64>(results, -<f64>(i64x2.extract_lane(nonFinite, 0) + i64x2.extract_lane(nonFinite, 1)), 16);
}

export function multiplyBf16(source: usize, target: usize, count: usize, factor: f64, results: usize): void {
  const by = f64x2.splat(factor);
  const zero = i32x4.splat(0);
  let rounded = i32x4.splat(0);
  let nonFinite = i16x8.splat(0);
  let error = f32x4.splat(0);
  clear(results);
  let left: i32 = FLUSH;
  for (const end = source + (count << 1); source < end; source += 16, target += 16) {
    const codes = v128.load(source);
    const low = oddProducts(upperHalves(zero, codes), by);
    const high = oddProducts(upperHalvesHigh(zero, codes), by);
    const products = toBf16(low, high);
    v128.store(target, products);
    const lowResult = upperHalves(zero, products);
    const highResult = upperHalvesHigh(zero, products);
    rounded = i32x4.add(rounded, i32x4.add(f32x4.ne(lowResult, low), f32x4.ne(highResult, high)));
    error = worse(worse(error, lowResult, low), highResult, high);
    nonFinite = i16x8.add(nonFinite, special(codes, products, BF16_LAST_FINITE));
    if (--left == 0) {
      flush(results, rounded, nonFinite);
      rounded = i32x4.splat(0);
      nonFinite = i16x8.splat(0);
      left = FLUSH;
    }
  }
  flush(results, rounded, nonFinite);
  store<f64>(results, largest(error), 8);
}

export function multiplyF16(source: usize, target: usize, count: usize, factor: f64, results: usize): void {
  const by = f64x2.splat(factor);
  let rounded = i32x4.splat(0);
  let nonFinite = i16x8.splat(0);
  let error = f32x4.splat(0);
  clear(results);
  let left: i32 = FLUSH;
  for (const end = source + (count << 1); source < end; source += 16, target += 16) {
    const codes = v128.load(source);
    const low = oddProducts(fromF16(i32x4.extend_low_i16x8_s(codes)), by);
    const high = oddProducts(fromF16(i32x4.extend_high_i16x8_s(codes)), by);
    const products = toF16(low, high);
    v128.store(target, products);
    const lowResult = fromF16(i32x4.extend_low_i16x8_s(products));
    const highResult = fromF16(i32x4.extend_high_i16x8_s(products));
    rounded = i32x4.add(rounded, i32x4.add(f32x4.ne(lowResult, low), f32x4.ne(highResult, high)));
    error = worse(worse(error, lowResult, low), highResult, high);
    nonFinite = i16x8.add(nonFinite, special(codes, products, F16_LAST_FINITE));
    if (--left == 0) {
      flush(results, rounded, nonFinite);
      rounded = i32x4.splat(0);
      nonFinite = i16x8.splat(0);
      left = FLUSH;
    }
  }
  flush(results, rounded, nonFinite);
  store<f64>(results, largest(error), 8);
}

/** Blocks after which counts in 16-bit lanes must be added up. */
const FLUSH: i32 = 16384;

/** 4 f32 times the factor, rounded to odd. */
@inline
function oddProducts(values: v128, by: v128): v128 {
  const low = f64x2.mul(f64x2.promote_low_f32x4(values), by);
  const high = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i64>(values, values, 1, 1)), by);
  const lowResult = f32x4.demote_f64x2_zero(low);
  const highResult = f32x4.demote_f64x2_zero(high);
  const lowBack = f64x2.promote_low_f32x4(lowResult);
  const highBack = f64x2.promote_low_f32x4(highResult);
  const tooLarge = v128.shuffle<i32>(
    f64x2.gt(f64x2.abs(lowBack), f64x2.abs(low)),
    f64x2.gt(f64x2.abs(highBack), f64x2.abs(high)),
    0, 2, 4, 6,
  );
  const inexact = v128.shuffle<i32>(f64x2.ne(lowBack, low), f64x2.ne(highBack, high), 0, 2, 4, 6);
  const nearest = v128.shuffle<i64>(lowResult, highResult, 0, 2);
  // Bits count up with the size: one less is the f32 before, towards zero.
  return v128.or(i32x4.add(nearest, tooLarge), i32x4.shr_u(inexact, 31));
}

/** The larger of the error and of those of 4 results. */
@inline
function worse(error: v128, results: v128, products: v128): v128 {
  const own = f32x4.abs(f32x4.sub(results, products));
  const size = f32x4.abs(products);
  if (!v128.any_true(f32x4.gt(own, f32x4.mul(error, size)))) return error;
  return f32x4.pmax(error, f32x4.div(own, size));
}

/** -1 for each code that is infinite or NaN, before or after. */
@inline
function special(codes: v128, products: v128, lastFinite: usize): v128 {
  const magnitude = v128.load32_splat(HALF_MAGNITUDE);
  const limit = v128.load32_splat(lastFinite);
  return v128.or(
    i16x8.gt_s(v128.and(codes, magnitude), limit),
    i16x8.gt_s(v128.and(products, magnitude), limit),
  );
}

@inline
function clear(results: usize): void {
  store<f64>(results, 0);
  store<f64>(results, 0, 16);
}

/** Adds counts, which are negative, to those of the results. */
@inline
function flush(results: usize, rounded: v128, nonFinite: v128): void {
  const wide = i32x4.extadd_pairwise_i16x8_s(nonFinite);
  store<f64>(results, load<f64>(results) - <f64>sum(rounded));
  store<f64>(results, load<f64>(results, 16) - <f64>sum(wide), 16);
}

@inline
function sum(lanes: v128): i32 {
  return (
    i32x4.extract_lane(lanes, 0) +
    i32x4.extract_lane(lanes, 1) +
    i32x4.extract_lane(lanes, 2) +
    i32x4.extract_lane(lanes, 3)
  );
}

@inline
function largest(lanes: v128): f64 {
  return <f64>max(
    max(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)),
    max(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)),
  );
}
