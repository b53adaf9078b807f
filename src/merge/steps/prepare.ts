/**
 * Every kind of step and how it is made ready: a new kind does not compile until it has its row here.
 */

import type { MergeStep } from "../combine/combine-step.ts";
import { prepareCombine } from "./combine.ts";
import { prepareAdd, prepareAssign, prepareReplaceRows, prepareScale } from "./elementwise.ts";
import { prepareLowRank } from "./low-rank.ts";
import { prepareMagnitude } from "./magnitude.ts";
import { prepareHadamard, prepareKronecker } from "./products.ts";
import { prepareResidual } from "./residual.ts";
import type { PrepareStep, ReadyStep, StepContext } from "./tile.ts";

const PREPARE: { readonly [Kind in MergeStep["kind"]]: PrepareStep<Kind> } = {
  "low-rank": prepareLowRank,
  hadamard: prepareHadamard,
  kronecker: prepareKronecker,
  add: prepareAdd,
  assign: prepareAssign,
  scale: prepareScale,
  "replace-rows": prepareReplaceRows,
  magnitude: prepareMagnitude,
  residual: prepareResidual,
  combine: prepareCombine,
};

/** One step, its factors loaded. */
export function prepareStep<Kind extends MergeStep["kind"]>(
  step: Extract<MergeStep, { kind: Kind }>,
  context: StepContext,
): Promise<ReadyStep> {
  return PREPARE[step.kind as Kind](step, context);
}

/** All steps of a tensor; each may look at the tensor as the earlier ones leave it. */
export async function prepareSteps(
  steps: readonly MergeStep[],
  context: Omit<StepContext, "earlier">,
): Promise<readonly ReadyStep[]> {
  const ready: ReadyStep[] = [];
  for (const step of steps) ready.push(await prepareStep(step, { ...context, earlier: [...ready] }));
  return ready;
}
