/**
 * Fewer points for long runs, so that a report stays small; no peak is lost.
 */

import type { Point } from "./chart.ts";

/** Points that a curve keeps: about two a pixel on a wide screen. */
const MAX_POINTS = 1200;

/** The lowest and the highest of each stretch of neighbours, in their order; short curves stay whole. */
export function thinPoints(points: readonly Point[], most = MAX_POINTS): readonly Point[] {
  if (points.length <= most) return points;
  const stretches = Math.max(1, Math.floor(most / 2));
  return Array.from({ length: stretches }, (_, index) => {
    const stretch = points.slice(
      Math.floor((index * points.length) / stretches),
      Math.floor(((index + 1) * points.length) / stretches),
    );
    const lowest = stretch.reduce((a, b) => (b[1] < a[1] ? b : a));
    const highest = stretch.reduce((a, b) => (b[1] > a[1] ? b : a));
    return lowest === highest ? [lowest] : [lowest, highest].sort((a, b) => a[0] - b[0]);
  }).flat();
}

/** A running mean over `width` neighbours to the left, over fewer where the curve begins. */
export function smoothPoints(points: readonly Point[], width: number): readonly Point[] {
  let sum = 0;
  return points.map(([x, y], index) => {
    sum += y - (index >= width ? (points[index - width]?.[1] ?? 0) : 0);
    return [x, sum / Math.min(index + 1, width)];
  });
}
