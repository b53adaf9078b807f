/**
 * Length buckets: every micro-batch is padded to one of a few lengths, because a graph is compiled for each shape.
 */

const MAX_BUCKETS = 16;
/** Where each compiled graph holds a copy of the base: with these, graphs of steps and evaluations all stay compiled. */
export const FEW_BUCKETS = 2;
const SMALLEST_STEP = 16;

/**
 * The lengths that batches may have, rising: multiples of a power of two, at most `most` of them, and last the longest row
 * itself, so that rows of one length are not padded at all.
 *
 * @param longest tokens of the longest row
 */
export function lengthBuckets(longest: number, most: number = MAX_BUCKETS): number[] {
  let step = SMALLEST_STEP;
  while (Math.ceil(longest / step) > most) step *= 2;
  const count = Math.ceil(longest / step);
  return Array.from({ length: count }, (_, index) => Math.min((index + 1) * step, longest));
}
