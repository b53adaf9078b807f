/**
 * Numbers as a sweep's report shows them.
 */

/** Four digits, with a true minus sign. The loss of a run that diverged is infinite. */
export function formatNumber(value: number | undefined): string {
  if (value === Number.POSITIVE_INFINITY) return "diverged";
  if (value === undefined || !Number.isFinite(value)) return "?";
  return String(Number(value.toPrecision(4))).replace(/^-/, "−");
}
