/**
 * How many singular values an approximation keeps, and what it loses with the others.
 */

/** At most a rank, at least an energy, or both: then the rank is a ceiling. */
export interface RankTarget {
  readonly rank?: number | undefined;
  /** Share of the sum of squares of the singular values to keep, above 0 and up to 1. */
  readonly energy?: number | undefined;
}

/** Relative to the largest singular value: what is below is the rounding of the decomposition. */
const NOISE = 1e-13;

/**
 * The smallest rank, from 1 on, that the target allows.
 *
 * @param values singular values, descending
 * @param size Σ values² of all of them, where `values` are only the first ones
 */
export function chooseRank(values: Float64Array, { rank, energy }: RankTarget, size = squareSum(values)): number {
  const most = Math.max(1, Math.min(rank ?? values.length, values.length));
  if (energy === undefined) return most;
  const kept = values.filter((value) => value > NOISE * (values[0] ?? 0));
  const allowed = (1 - energy) * size;
  // From the small end, so that small values count.
  let lost = Math.max(0, size - squareSum(values));
  let count = kept.length;
  while (count > 1) {
    lost += (kept[count - 1] ?? 0) ** 2;
    if (lost > allowed) break;
    count--;
  }
  return Math.min(most, Math.max(1, count));
}

/** Σ values² from index `from` on, summed from the small end. */
export function squareSum(values: Float64Array, from = 0): number {
  return values.subarray(from).reduceRight((sum, value) => sum + value * value, 0);
}
