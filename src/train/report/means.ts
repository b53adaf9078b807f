/**
 * Means over the steps of a run.
 */

/** Share of a run that stands for its end: single steps are noise. */
const TAIL = 0.1;

/** The last tenth of the steps, at least one. */
export function lastSteps<Step>(steps: readonly Step[]): readonly Step[] {
  return steps.slice(-Math.max(1, Math.round(steps.length * TAIL)));
}

/** Over the tokens, not over the steps. */
export function meanLoss(steps: readonly { readonly loss: number; readonly tokens: number }[]): number {
  const tokens = steps.reduce((sum, step) => sum + step.tokens, 0);
  return steps.reduce((sum, step) => sum + step.loss * step.tokens, 0) / tokens;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
