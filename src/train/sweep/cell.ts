/**
 * The cells of a sweep: every rank under every convention at every learning rate with every seed, each a training run of
 * its own.
 */

import type { Convention } from "../../adapters/adapter.ts";
import { UsageError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";

/** What a cell varies; everything else is common to the sweep. */
export interface Cell {
  readonly rank: number;
  readonly scaling: Convention;
  readonly lr: number;
  readonly seed: number;
}

export interface CellAxes {
  readonly ranks: readonly number[];
  readonly scalings: readonly Convention[];
  readonly lrs: readonly number[];
  readonly seeds: readonly number[];
}

/** Real: some hundreds. */
const MAX_CELLS = 100_000;

/** Conventions side by side and high ranks last, so that a sweep that is stopped can be looked at. */
export function planCells({ ranks, scalings, lrs, seeds }: CellAxes): readonly Cell[] {
  const count = ranks.length * scalings.length * lrs.length * seeds.length;
  if (count > MAX_CELLS) throw new UsageError(`expected at most ${MAX_CELLS} cells, got ${count}`);
  return seeds.flatMap((seed) =>
    ranks.flatMap((rank) => lrs.flatMap((lr) => scalings.map((scaling): Cell => ({ rank, scaling, lr, seed })))),
  );
}

/** Every n-th cell: neighbours differ in cost less than the first and the last. */
export function cellsOfPart(cells: readonly Cell[], { index, count }: Part): readonly Cell[] {
  return cells.filter((_, at) => at % count === index - 1);
}

/** The folder of a cell, by its name under the sweep's. */
export function cellName({ rank, scaling, lr, seed }: Cell): string {
  return `rank-${rank}-${scaling}-lr-${lr}-seed-${seed}`;
}
