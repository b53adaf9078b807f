/**
 * Masks of dropout: Philox 4x32-10 (../../random.ts) for four counters at a time, and 16 bits of it for each element.
 */

import { lanesOf } from "./constant";

const MULTIPLIER_0 = memory.data<u32>([0xd2511f53]);
const MULTIPLIER_1 = memory.data<u32>([0xcd9e8d57]);
/** The four counters of a pass. */
const LANES = memory.data<i32>([0, 1, 2, 3]);

/** Elements of four counters. */
const PASS: usize = 32;

/**
 * Writes `count` f32: 0 where the element's 16 bits are below `dropped`, else `kept`.
 *
 * The counter [block, c1, c2, c3] decides for 8 elements, by the halves of its words, lower half first; `block` counts up.
 */
export function fillMask(
  target: usize,
  count: usize,
  block: u32,
  c1: u32,
  c2: u32,
  c3: u32,
  k0: u32,
  k1: u32,
  dropped: i32,
  kept: f32,
): void {
  const limit = i16x8.splat(<i16>dropped);
  const value = f32x4.splat(kept);
  for (let left = count; ; left -= PASS) {
    let w0 = i32x4.add(i32x4.splat(block), v128.load(LANES));
    let w1 = i32x4.splat(c1);
    let w2 = i32x4.splat(c2);
    let w3 = i32x4.splat(c3);
    let key0 = k0;
    let key1 = k1;
    for (let round = 0; round < 10; round++) {
      const even0 = i64x2.extmul_low_i32x4_u(w0, lanesOf(MULTIPLIER_0));
      const odd0 = i64x2.extmul_high_i32x4_u(w0, lanesOf(MULTIPLIER_0));
      const even1 = i64x2.extmul_low_i32x4_u(w2, lanesOf(MULTIPLIER_1));
      const odd1 = i64x2.extmul_high_i32x4_u(w2, lanesOf(MULTIPLIER_1));
      w0 = v128.xor(v128.xor(upperWords(even1, odd1), w1), i32x4.splat(key0));
      w1 = lowerWords(even1, odd1);
      w2 = v128.xor(v128.xor(upperWords(even0, odd0), w3), i32x4.splat(key1));
      w3 = lowerWords(even0, odd0);
      key0 += 0x9e3779b9;
      key1 += 0xbb67ae85;
    }
    // From a word of four counters to the four words of a counter.
    const low01 = v128.shuffle<i32>(w0, w1, 0, 4, 1, 5);
    const low23 = v128.shuffle<i32>(w2, w3, 0, 4, 1, 5);
    store8(target, v128.shuffle<i64>(low01, low23, 0, 2), limit, value);
    store8(target + 32, v128.shuffle<i64>(low01, low23, 1, 3), limit, value);
    if (left < PASS) return;
    const high01 = v128.shuffle<i32>(w0, w1, 2, 6, 3, 7);
    const high23 = v128.shuffle<i32>(w2, w3, 2, 6, 3, 7);
    store8(target + 64, v128.shuffle<i64>(high01, high23, 0, 2), limit, value);
    store8(target + 96, v128.shuffle<i64>(high01, high23, 1, 3), limit, value);
    if (left == PASS) return;
    target += PASS << 2;
    block += 4;
  }
}

/** The elements that the 8 halves of a counter's words decide for. */
@inline
function store8(target: usize, halves: v128, limit: v128, value: v128): void {
  const keeps = i16x8.ge_u(halves, limit);
  v128.store(target, v128.and(i32x4.extend_low_i16x8_s(keeps), value));
  v128.store(target, v128.and(i32x4.extend_high_i16x8_s(keeps), value), 16);
}

/** The lower words of 4 products of 64 bits. */
@inline
function lowerWords(first: v128, last: v128): v128 {
  return v128.shuffle<i32>(first, last, 0, 2, 4, 6);
}

@inline
function upperWords(first: v128, last: v128): v128 {
  return v128.shuffle<i32>(first, last, 1, 3, 5, 7);
}
