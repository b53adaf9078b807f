/**
 * Edits of several adapters on one tensor → steps, by the method that was chosen.
 *
 * What is no delta has no part in a method: replaced tensors and rows stay what they are, biases and other vectors are
 * summed, and a DoRA magnitude, a multiplied weight or a changed initialisation is a misfit.
 */

import { type AddStep, replacesWhole, type Step, type TensorEdit } from "../../adapters/edit.ts";
import { quote } from "../../core/text.ts";
import { type DeltaStep, isDeltaStep, type MergeStep, type WeightedDelta } from "./combine-step.ts";
import type { ChosenMethod } from "./options.ts";
import { METHODS } from "./registry.ts";

/** An edit and the adapter that asks for it. */
export interface OwnedEdit extends TensorEdit {
  /** Position among the adapters. */
  readonly adapter: number;
}

export interface JoinOptions {
  readonly method: ChosenMethod;
  /** One for each adapter. */
  readonly weights: readonly number[];
}

/** Whether the method works on deltas without their weights; sums have them in the scales of the steps. */
export function takesDeltas({ name }: ChosenMethod): boolean {
  const method = METHODS[name];
  return method.kind === "elements" || method.cuts;
}

/** The steps of one tensor, in order; misfits are added to `problems`. */
export function joinEdits(
  tensor: string,
  edits: readonly OwnedEdit[],
  { method, weights }: JoinOptions,
  problems: string[],
): readonly MergeStep[] {
  if (!takesDeltas(method)) return edits.flatMap((edit) => edit.steps);
  const starts: Step[] = [];
  const others: Step[] = [];
  const deltas: WeightedDelta[] = [];
  const adapters: number[] = [];
  for (const edit of edits) {
    const { adapter, module, view, steps } = edit;
    const weight = weights[adapter] ?? 1;
    if (replacesWhole(edit) && weight !== 1) {
      problems.push(
        `${quote(module)}: replaces the whole of ${quote(tensor)}, which only weight 1 can mean, got ${weight}`,
      );
    }
    const own: DeltaStep[] = [];
    for (const step of steps) {
      if (view[0] === 1 && step.kind === "add") others.push(weighted(step, weight));
      else if (step.kind === "assign") starts.push(step);
      else if (step.kind === "replace-rows") others.push({ ...step, weight });
      else if (isDeltaStep(step)) own.push(step);
      else problems.push(`${quote(module)}: ${OTHER_STEPS[step.kind]} is no delta that ${method.name} could combine`);
    }
    if (own.some(({ kind }) => kind !== "low-rank") && METHODS[method.name].kind === "sum") {
      problems.push(`${quote(module)}: is no product of two factors, which ${method.name} needs`);
    }
    if (own.length === 0) continue;
    const at = adapters.indexOf(adapter);
    const before = deltas[at];
    if (before === undefined) {
      adapters.push(adapter);
      deltas.push({ weight, steps: own });
    } else deltas[at] = { weight, steps: [...before.steps, ...own] };
  }
  if (deltas.length === 0) return [...starts, ...others];
  return [...starts, { kind: "combine", method, deltas, adapters, tensor }, ...others];
}

function weighted(step: AddStep, weight: number): AddStep {
  return { ...step, scale: step.scale * weight };
}

const OTHER_STEPS: Record<Exclude<Step["kind"], DeltaStep["kind"] | "assign" | "replace-rows">, string> = {
  magnitude: "DoRA",
  scale: "a factor of IA3",
  residual: "what the initialisation took out of the base",
};
