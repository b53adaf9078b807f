/**
 * How far new factors are from what they stand for: ‖new − old‖ / ‖old‖, Frobenius norms.
 */

import type { FactorResult } from "./factor-job.ts";

/**
 * Of several modules together; 0 where nothing was approximated.
 *
 * @param results `undefined` for modules that stayed as they were
 * @param scales of the modules, which multiply both norms; 1 by default
 */
export function relativeError(results: readonly (FactorResult | undefined)[], scales?: readonly number[]): number {
  let [size, wrong] = [0, 0];
  for (const [index, result] of results.entries()) {
    const weight = (scales?.[index] ?? 1) ** 2;
    size += weight * (result?.size ?? 0);
    wrong += weight * ((result?.lost ?? 0) + (result?.rounded ?? 0));
  }
  return size === 0 ? 0 : Math.sqrt(wrong / size);
}
