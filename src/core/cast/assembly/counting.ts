/**
 * Rounding fused with the three counts of a merge. For an element whose f32 was b before and is s now, with r the
 * rounding to a dtype and o = r(b):
 *
 *   changed    r(s) ≠ o
 *   lost       r(s) = o, although s ≠ b: the difference is smaller than the dtype can hold
 *   nonFinite  r(s) is infinite or NaN
 *
 * All compared as bits. `source` holds s, `before` b, `original` o; r(s) is written to `target`, which may be
 * `original` itself, and the counts to three u32 at `counts`.
 */

import { lanesOf } from "./constant";
import { toBf16, toF16, toF8E4m3fn, toF8E5m2 } from "./rounding";

/** The bits that are all set in infinity and NaN only, in every lane. They also name the dtype. */
const F32 = memory.data<i32>([0x7f800000]);
const BF16 = memory.data<i32>([0x7f807f80]);
const F16 = memory.data<i32>([0x7c007c00]);
const E4M3FN = memory.data<i32>([0x7f7f7f7f]);
const E5M2 = memory.data<i32>([0x7c7c7c7c]);

export function countBf16(
  source: usize,
  before: usize,
  original: usize,
  target: usize,
  count: usize,
  counts: usize,
): void {
  countHalves(BF16, source, before, original, target, count, counts);
}

export function countF16(
  source: usize,
  before: usize,
  original: usize,
  target: usize,
  count: usize,
  counts: usize,
): void {
  countHalves(F16, source, before, original, target, count, counts);
}

export function countF8E4m3fn(
  source: usize,
  before: usize,
  original: usize,
  target: usize,
  count: usize,
  counts: usize,
): void {
  countBytes(E4M3FN, source, before, original, target, count, counts);
}

export function countF8E5m2(
  source: usize,
  before: usize,
  original: usize,
  target: usize,
  count: usize,
  counts: usize,
): void {
  countBytes(E5M2, source, before, original, target, count, counts);
}

/** Without rounding, so nothing is lost; writes no target. Serves f64 too, in which every f32 is exact. */
export function countF32(source: usize, before: usize, count: usize, counts: usize): void {
  let changed: u32 = 0;
  for (let at: usize = 0; at < count << 2; at += 64) changed += 16 - lanes(sameWords(source + at, before + at));
  writeCounts(counts, changed, 0, countNonFinite(source, count));
}

/** The number of infinities and NaNs. */
export function countNonFinite(source: usize, count: usize): u32 {
  let nonFinite: u32 = 0;
  for (const end = source + (count << 2); source < end; source += 64) {
    const exponent = lanesOf(F32);
    const a = i32x4.eq(v128.and(v128.load(source), exponent), exponent);
    const b = i32x4.eq(v128.and(v128.load(source, 16), exponent), exponent);
    const c = i32x4.eq(v128.and(v128.load(source, 32), exponent), exponent);
    const d = i32x4.eq(v128.and(v128.load(source, 48), exponent), exponent);
    nonFinite += lanes(packMasks(a, b, c, d));
  }
  return nonFinite;
}

/** @param dtype a constant, so that each caller compiles to a loop of its own */
@inline
function countHalves(
  dtype: usize,
  source: usize,
  before: usize,
  original: usize,
  target: usize,
  count: usize,
  counts: usize,
): void {
  let changed: u32 = 0;
  let lost: u32 = 0;
  let nonFinite: u32 = 0;
  for (const end = source + (count << 2); source < end; source += 64, before += 64, original += 32, target += 32) {
    const special = lanesOf(dtype);
    const low = toHalves(dtype, source);
    const high = toHalves(dtype, source + 32);
    const sameLow = i16x8.eq(low, v128.load(original));
    const sameHigh = i16x8.eq(high, v128.load(original, 16));
    const same = i8x16.narrow_i16x8_s(sameLow, sameHigh);
    const specialLow = i16x8.eq(v128.and(low, special), special);
    const specialHigh = i16x8.eq(v128.and(high, special), special);
    v128.store(target, low);
    v128.store(target, high, 16);
    changed += 16 - lanes(same);
    lost += lanes(v128.andnot(same, sameWords(source, before)));
    nonFinite += lanes(i8x16.narrow_i16x8_s(specialLow, specialHigh));
  }
  writeCounts(counts, changed, lost, nonFinite);
}

/** `countHalves` for dtypes of one byte. */
@inline
function countBytes(
  dtype: usize,
  source: usize,
  before: usize,
  original: usize,
  target: usize,
  count: usize,
  counts: usize,
): void {
  let changed: u32 = 0;
  let lost: u32 = 0;
  let nonFinite: u32 = 0;
  for (const end = source + (count << 2); source < end; source += 64, before += 64, original += 16, target += 16) {
    const special = lanesOf(dtype);
    const codes = toBytes(dtype, source);
    const same = i8x16.eq(codes, v128.load(original));
    v128.store(target, codes);
    changed += 16 - lanes(same);
    lost += lanes(v128.andnot(same, sameWords(source, before)));
    nonFinite += lanes(i8x16.eq(v128.and(codes, special), special));
  }
  writeCounts(counts, changed, lost, nonFinite);
}

/** 8 f32 at an address. */
@inline
function toHalves(dtype: usize, at: usize): v128 {
  const low = v128.load(at);
  const high = v128.load(at, 16);
  return dtype == BF16 ? toBf16(low, high) : toF16(low, high);
}

/** 16 f32 at an address. */
@inline
function toBytes(dtype: usize, at: usize): v128 {
  const a = v128.load(at);
  const b = v128.load(at, 16);
  const c = v128.load(at, 32);
  const d = v128.load(at, 48);
  return dtype == E4M3FN ? toF8E4m3fn(a, b, c, d) : toF8E5m2(a, b, c, d);
}

/** A byte mask of the 16 32-bit words that are equal at two addresses. */
@inline
function sameWords(left: usize, right: usize): v128 {
  return packMasks(
    i32x4.eq(v128.load(left), v128.load(right)),
    i32x4.eq(v128.load(left, 16), v128.load(right, 16)),
    i32x4.eq(v128.load(left, 32), v128.load(right, 32)),
    i32x4.eq(v128.load(left, 48), v128.load(right, 48)),
  );
}

@inline
function packMasks(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** The number of set lanes of a byte mask. */
@inline
function lanes(mask: v128): u32 {
  return popcnt(i8x16.bitmask(mask));
}

@inline
function writeCounts(counts: usize, changed: u32, lost: u32, nonFinite: u32): void {
  store<u32>(counts, changed, 0);
  store<u32>(counts, lost, 4);
  store<u32>(counts, nonFinite, 8);
}
