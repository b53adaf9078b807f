/**
 * One number for modules that differ, where a layout has only one: the one that most of them have.
 */

/** Of equally common ones the first; `undefined` of none. */
export function mostCommon(values: readonly number[]): number | undefined {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [first, ...rest] = counts;
  return rest.reduce((most, entry) => (most !== undefined && entry[1] > most[1] ? entry : most), first)?.[0];
}

/** The most common number that others can be multiples of: 0 only where all are 0. */
export function commonScale(scales: readonly number[]): number {
  return mostCommon(scales.filter((scale) => scale !== 0)) ?? 0;
}
