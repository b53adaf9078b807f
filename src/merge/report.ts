/**
 * What a merge tells its caller: the object that `--json` prints and that the command line words.
 */

import { basename } from "node:path";
import type { Dtype } from "../core/dtype.ts";
import type { Range } from "../core/range.ts";
import { rangeOf } from "../core/range.ts";
import type { Shape } from "../core/shape.ts";
import { ACTIONS, type Action, type MergePlan, tensorsOf } from "./plan.ts";
import { type HashedFile, scaleRange, type WeightedAdapter } from "./provenance.ts";
import type { TensorStats } from "./tensor-executor.ts";
import type { Verification } from "./verify.ts";

export interface AdapterSummary {
  readonly path: string;
  readonly layout: string;
  /** `LoRA`, `rsLoRA`, `DoRA` … */
  readonly method: string;
  readonly weight: number;
  readonly modules: number;
  /** Lowest and highest rank. */
  readonly rank: Range;
  /** Lowest and highest effective scale, before the weight. */
  readonly scale: Range;
}

export interface PlannedRow {
  readonly tensor: string;
  readonly file: string;
  readonly action: Action;
  readonly dtype: Dtype;
  readonly shape: Shape;
  readonly modules: readonly string[];
}

export interface MergeReport {
  readonly out: string;
  readonly adapters: readonly AdapterSummary[];
  /** How many tensors each action concerns. */
  readonly tensors: Readonly<Record<Action, number>>;
  /** The input embedding and the output head were one tensor and are two now. */
  readonly untied: boolean;
  readonly warnings: readonly string[];
  /** Under `dryRun`: what would happen to each tensor. */
  readonly plan?: readonly PlannedRow[];
  /** The rest is there once something was written. */
  readonly result?: MergeResult;
  readonly verification?: Verification;
}

export interface MergeResult {
  /** Elements of the tensors that adapters act on. */
  readonly elements: number;
  /** Elements whose bits changed. */
  readonly changed: number;
  /** Elements whose delta is not zero and vanished in the rounding to the output's dtype. */
  readonly lost: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Weight files with their SHA-256. */
  readonly files: readonly HashedFile[];
}

export function summariseAdapter({ adapter, weight }: WeightedAdapter): AdapterSummary {
  const rank = rangeOf(adapter.modules.map((module) => module.rank));
  const { path, layout, method, modules } = adapter;
  return { path, layout, method, weight, modules: modules.length, rank, scale: scaleRange(adapter) };
}

/** How many tensors of the plan each action concerns. */
export function countActions(plan: MergePlan): Record<Action, number> {
  const tensors = tensorsOf(plan);
  const counts = ACTIONS.map(
    (action) => [action, tensors.filter((tensor) => tensor.action === action).length] as const,
  );
  return Object.fromEntries(counts) as Record<Action, number>;
}

/** The rows of the `--dry-run` table. */
export function planRows(plan: MergePlan): PlannedRow[] {
  return plan.files.flatMap((file) =>
    file.tensors.map(({ name, action, dtype, shape, modules }) => ({
      tensor: name,
      file: basename(file.name),
      action,
      dtype,
      shape,
      modules,
    })),
  );
}

/** Sums over the tensors that steps acted on; tensors that were only cast do not count. */
export function sumStats(plan: MergePlan, stats: ReadonlyMap<string, TensorStats>): TensorStats {
  const sum = { elements: 0, changed: 0, lost: 0 };
  for (const { name, steps } of tensorsOf(plan)) {
    const own = steps.length === 0 ? undefined : stats.get(name);
    sum.elements += own?.elements ?? 0;
    sum.changed += own?.changed ?? 0;
    sum.lost += own?.lost ?? 0;
  }
  return sum;
}
