/**
 * Lowest and highest of some numbers.
 */

export type Range = readonly [lowest: number, highest: number];

/** [0, 0] of none. Not `Math.min(...values)`: a mixture of experts has more modules than a call has arguments. */
export function rangeOf(values: readonly number[]): Range {
  const [first = 0] = values;
  return values.reduce<Range>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [first, first]);
}
