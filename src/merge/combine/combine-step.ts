/**
 * The step that adds what a method makes of several deltas of one tensor; plain data, like the steps of edits.
 */

import type { AddStep, HadamardStep, KroneckerStep, LowRankStep, Step } from "../../adapters/edit.ts";
import type { ChosenMethod } from "./options.ts";

/** Steps that add a delta, whatever the tensor holds. */
export type DeltaStep = LowRankStep | HadamardStep | KroneckerStep | AddStep;

export interface WeightedDelta {
  /** Of the adapter; not in the scales of the steps. */
  readonly weight: number;
  readonly steps: readonly DeltaStep[];
}

export interface CombineStep {
  readonly kind: "combine";
  readonly method: ChosenMethod;
  /** One for each adapter that acts on the tensor, in their order. */
  readonly deltas: readonly WeightedDelta[];
  /** Position of each delta's adapter among all: random choices follow it. */
  readonly adapters: readonly number[];
  /** Name of the tensor, which random choices follow too. */
  readonly tensor: string;
}

/** What the tensors of a merge go through. */
export type MergeStep = Step | CombineStep;

const DELTA_KINDS: ReadonlySet<string> = new Set<DeltaStep["kind"]>(["low-rank", "hadamard", "kronecker", "add"]);

export function isDeltaStep(step: Step): step is DeltaStep {
  return DELTA_KINDS.has(step.kind);
}
