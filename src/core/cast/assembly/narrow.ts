/**
 * f32 → bf16, f16, f8_e4m3fn, f8_e5m2 (see rounding.ts) and f64 (exact).
 */

import { toBf16, toF16, toF8E4m3fn, toF8E5m2 } from "./rounding";

export function narrowBf16(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 2); source < end; source += 64, target += 32) {
    const low = toBf16(v128.load(source), v128.load(source, 16));
    const high = toBf16(v128.load(source, 32), v128.load(source, 48));
    v128.store(target, low);
    v128.store(target, high, 16);
  }
}

export function narrowF16(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 2); source < end; source += 64, target += 32) {
    const low = toF16(v128.load(source), v128.load(source, 16));
    const high = toF16(v128.load(source, 32), v128.load(source, 48));
    v128.store(target, low);
    v128.store(target, high, 16);
  }
}

export function narrowF8E4m3fn(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 2); source < end; source += 64, target += 16) {
    v128.store(
      target,
      toF8E4m3fn(v128.load(source), v128.load(source, 16), v128.load(source, 32), v128.load(source, 48)),
    );
  }
}

export function narrowF8E5m2(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 2); source < end; source += 64, target += 16) {
    v128.store(
      target,
      toF8E5m2(v128.load(source), v128.load(source, 16), v128.load(source, 32), v128.load(source, 48)),
    );
  }
}

/** Not narrower, but the direction that leaves f32. */
export function narrowF64(source: usize, target: usize, count: usize): void {
  for (const end = source + (count << 2); source < end; source += 8, target += 16) {
    v128.store(target, f64x2.promote_low_f32x4(v128.load64_zero(source)));
  }
}
