/**
 * What a finished cell showed, and the numbers that a sweep compares: means over its steps and over seeds.
 */

import { lastSteps, mean, meanLoss } from "../report/means.ts";
import type { StepRecord, TrainedModule } from "../report/run-record.ts";
import type { Cell } from "./cell.ts";

export interface CellResult extends Cell {
  /** Path of the cell's folder from that of the sweep. */
  readonly folder: string;
  readonly modules: readonly TrainedModule[];
  readonly steps: readonly StepRecord[];
  /** Why it ended early, where its numbers were no longer finite. */
  readonly diverged: string | null;
  /** Whether only down and up are trained and up starts as zero, which the law of the first step supposes. */
  readonly startsPlain: boolean;
}

/** Of the last step; a run that diverged has none. */
export function finalLoss({ steps, diverged }: CellResult): number {
  return diverged === null ? (steps.at(-1)?.loss ?? Number.NaN) : Number.POSITIVE_INFINITY;
}

/** Mean over the tokens of the last tenth of the steps. */
export function tailLoss({ steps, diverged }: CellResult): number {
  if (diverged !== null) return Number.POSITIVE_INFINITY;
  return meanLoss(lastSteps(steps));
}

export function lastEvalLoss({ steps }: CellResult): number | undefined {
  return steps.findLast(({ evalLoss }) => evalLoss !== undefined)?.evalLoss;
}

export function meanGradNorm({ steps }: CellResult): number {
  return mean(steps.map(({ gradNorm }) => gradNorm));
}

/** At the first step, whose gradient is that of the initial adapter. */
export function firstGradNorm({ steps }: CellResult): number {
  return steps[0]?.gradNorm ?? Number.NaN;
}

/** Mean over the steps for each module; empty where norms of modules were not recorded. */
export function meanModuleNorms({ modules, steps }: CellResult): readonly number[] {
  const recorded = steps.filter(({ moduleGradNorms }) => moduleGradNorms.length >= modules.length);
  if (recorded.length === 0) return [];
  return modules.map((_, index) => mean(recorded.map(({ moduleGradNorms }) => moduleGradNorms[index] ?? Number.NaN)));
}

/** Cells that differ in their seed only. */
export interface SeedGroup extends Omit<Cell, "seed"> {
  readonly cells: readonly CellResult[];
}

/** In the order of ranks within each convention and learning rate. */
export function groupSeeds(cells: readonly CellResult[]): readonly SeedGroup[] {
  const groups = new Map<string, CellResult[]>();
  for (const cell of cells) {
    const key = `${cell.rank} ${cell.scaling} ${cell.lr}`;
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return [...groups.values()]
    .map((members) => ({ ...pick(members[0] as CellResult), cells: members }))
    .sort((a, b) => a.scaling.localeCompare(b.scaling) || a.lr - b.lr || a.rank - b.rank);
}

function pick({ rank, scaling, lr }: CellResult): Omit<Cell, "seed"> {
  return { rank, scaling, lr };
}

/** A number of the cells of a group, over its seeds. */
export interface Spread {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(group: SeedGroup, value: (cell: CellResult) => number): Spread {
  const values = group.cells.map(value);
  return { mean: mean(values), low: Math.min(...values), high: Math.max(...values) };
}
