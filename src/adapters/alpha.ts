/**
 * The alpha that gives a module the same scale under the other convention: alpha / √rank or alpha · √rank, chosen among
 * neighbouring doubles by the scale that a reader computes from it (IEEE 754 division and square root, as in Python).
 *
 * The doubles around an alpha lie up to twice as far apart as those around its scale, so an alpha with exactly the same
 * scale may not exist; the nearest one is then within 1 ulp.
 */

import type { Convention } from "./adapter.ts";
import { effectiveScale } from "./scale.ts";

/** Doubles looked at on each side of the product; the wanted one is at most two away. */
const NEIGHBOURS = 3;

/** Digits up to which a number counts as one that a person wrote; two such are never neighbours. */
const WRITTEN_DIGITS = 9;

/**
 * The alpha whose scale under `convention` is exactly `scale`: of several the one with the fewest digits. Where there is
 * none, one that is 1 ulp off and does not look written, so that `convertAlpha` can tell where it came from.
 */
export function alphaOfScale(convention: Convention, scale: number, rank: number): number {
  return best(candidates(convention, scale, rank), (alpha) => {
    const ulps = ulpsBetween(effectiveScale(convention, alpha, rank), scale);
    return [ulps, ulps > 0 && isWritten(alpha) ? 1 : 0, ...simplicity(convention, scale, rank, alpha)];
  });
}

/**
 * Converts an alpha for the same scale, exactly where some alpha gives it and within 1 ulp otherwise. An alpha that came
 * out of a conversion (5.65… for 16 at rank 8) goes back to the written one that it came from, even if that is 1 ulp.
 */
export function convertAlpha(from: Convention, to: Convention, alpha: number, rank: number): number {
  if (from === to) return alpha;
  const scale = effectiveScale(from, alpha, rank);
  if (isWritten(alpha)) return alphaOfScale(to, scale, rank);
  const around = candidates(to, scale, rank);
  const comesFrom = (origin: number) => alphaOfScale(from, effectiveScale(to, origin, rank), rank) === alpha;
  const origin = around.find((candidate) => isWritten(candidate) && comesFrom(candidate));
  if (origin !== undefined) return origin;
  return best(around, (candidate) => {
    const ulps = ulpsBetween(effectiveScale(to, candidate, rank), scale);
    return [ulps, comesFrom(candidate) ? 0 : 1, ...simplicity(to, scale, rank, candidate)];
  });
}

/** How many doubles lie from one scale to another; both finite and not negative. */
export function ulpsBetween(a: number, b: number): number {
  const distance = bitsOf(a) - bitsOf(b);
  return Number(distance < 0n ? -distance : distance);
}

function product(convention: Convention, scale: number, rank: number): number {
  return convention === "rslora" ? scale * Math.sqrt(rank) : scale * rank;
}

function candidates(convention: Convention, scale: number, rank: number): number[] {
  // Zero stays zero; the bits of a positive double count up with its size.
  if (scale === 0) return [0];
  const middle = bitsOf(product(convention, scale, rank));
  const numbers: number[] = [];
  for (let step = -NEIGHBOURS; step <= NEIGHBOURS; step++) {
    const number = fromBits(middle + BigInt(step));
    if (number > 0 && Number.isFinite(number)) numbers.push(number);
  }
  return numbers;
}

/** The element with the least keys, compared in order; there is at least one. */
function best(numbers: readonly number[], keysOf: (value: number) => readonly number[]): number {
  return numbers.reduce((least, value) => (isLess(keysOf(value), keysOf(least)) ? value : least));
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((key, index) => key !== b[index]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

function isWritten(value: number): boolean {
  return digitCount(value) <= WRITTEN_DIGITS;
}

/** Fewest digits first, then nearest to the product. */
function simplicity(convention: Convention, scale: number, rank: number, alpha: number): number[] {
  return [digitCount(alpha), Math.abs(alpha - product(convention, scale, rank))];
}

/** Digits of the shortest decimal that reads back as the same double. */
function digitCount(value: number): number {
  return value.toExponential().replace(/e.*$/, "").replace(".", "").length;
}

const SCRATCH = new DataView(new ArrayBuffer(8));

function bitsOf(value: number): bigint {
  SCRATCH.setFloat64(0, value);
  return SCRATCH.getBigInt64(0);
}

function fromBits(bits: bigint): number {
  SCRATCH.setBigInt64(0, bits);
  return SCRATCH.getFloat64(0);
}
