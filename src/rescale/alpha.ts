/**
 * The alpha that gives a module the same scale under the other convention: alpha / √rank or alpha · √rank, chosen among
 * neighbouring doubles by the scale that a reader computes from it (IEEE 754 division and square root, as in Python).
 *
 * The doubles around an alpha lie up to twice as far apart as those around its scale, so an alpha with exactly the same
 * scale may not exist; the nearest one is then within 1 ulp.
 */

import type { Convention } from "../adapters/adapter.ts";
import { effectiveScale } from "../adapters/scale.ts";

/** Doubles looked at on each side of the product; the wanted one is at most two away. */
const NEIGHBOURS = 3;

/** Digits up to which a number counts as one that a person wrote: two such are never neighbours by chance. */
const WRITTEN_DIGITS = 9;

/**
 * The alpha whose scale under `convention` is exactly `scale`, or the nearest where there is none. Among several, the one
 * with the fewest digits.
 */
export function alphaOfScale(convention: Convention, scale: number, rank: number): number {
  return best(candidates(convention, scale, rank), (alpha) => [
    Math.abs(effectiveScale(convention, alpha, rank) - scale),
    digitCount(alpha),
    Math.abs(alpha - product(convention, scale, rank)),
  ]);
}

/**
 * Converts an alpha, so that converting it back gives the same number again: an alpha that came out of a conversion
 * (5.65… for 16 at rank 8) goes back to what it came from, even where its scale is 1 ulp off for want of a double.
 */
export function convertAlpha(from: Convention, to: Convention, alpha: number, rank: number): number {
  if (from === to) return alpha;
  const scale = effectiveScale(from, alpha, rank);
  const around = candidates(to, scale, rank);
  const comesFrom = (origin: number) => alphaOfScale(from, effectiveScale(to, origin, rank), rank) === alpha;
  const origins = around.filter((candidate) => digitCount(candidate) <= WRITTEN_DIGITS && comesFrom(candidate));
  if (origins.length > 0) return best(origins, (origin) => [digitCount(origin)]);
  return best(around, (candidate) => [
    Math.abs(effectiveScale(to, candidate, rank) - scale),
    comesFrom(candidate) ? 0 : 1,
    digitCount(candidate),
    Math.abs(candidate - product(to, scale, rank)),
  ]);
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
