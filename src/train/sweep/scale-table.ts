/**
 * The table of effective scales, with what each makes of the first step: why one learning rate does not fit all ranks.
 */

import { CONVENTION_NAMES } from "../../adapters/adapter.ts";
import type { TableBlock } from "../report/document.ts";
import type { SeedGroup } from "./cell-result.ts";
import { FIRST_MOVES } from "./scaling-laws.ts";
import { formatNumber } from "./words.ts";

/** One row for each convention and rank; moves are relative to the lowest rank of the convention. */
export function tableScales(groups: readonly SeedGroup[]): TableBlock {
  const rows = new Map<string, string[]>();
  const lowest = new Map<string, readonly [sgd: number, adam: number]>();
  for (const { scaling, rank, cells } of groups) {
    const { alpha = Number.NaN, scale = Number.NaN } = cells[0]?.modules[0] ?? {};
    const moves = [FIRST_MOVES.sgd(scale, rank), FIRST_MOVES.adamw(scale, rank)] as const;
    const first = lowest.get(scaling) ?? moves;
    lowest.set(scaling, first);
    rows.set(`${scaling} ${rank}`, [
      CONVENTION_NAMES[scaling],
      String(rank),
      formatNumber(alpha),
      formatNumber(scale),
      formatNumber(moves[0] / first[0]),
      formatNumber(moves[1] / first[1]),
    ]);
  }
  return {
    kind: "table",
    caption:
      "The factor in front of up · down, and how far the first step moves a layer's output relative to the lowest rank: scale² · rank under SGD, scale · rank under Adam, whose step does not depend on the size of gradients. Where it grows, a high rank needs a lower learning rate or a warm-up.",
    head: ["scaling", "rank", "alpha", "scale", "first step, SGD", "first step, Adam"],
    rows: [...rows.values()],
  };
}
