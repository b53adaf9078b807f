/**
 * What the figures of a sweep have in common.
 */

import { CONVENTION_NAMES, CONVENTIONS, type Convention } from "../../adapters/adapter.ts";
import type { Axis } from "../report/chart.ts";
import type { SeedGroup } from "./cell-result.ts";

export function rankAxis(groups: readonly SeedGroup[]): Axis {
  return { label: "rank", scale: "log", ticks: [...new Set(groups.map(({ rank }) => rank))].sort((a, b) => a - b) };
}

/** One panel for each convention. */
export function panelsOf(groups: readonly SeedGroup[]): string[] {
  return conventionsOf(groups).map((scaling) => CONVENTION_NAMES[scaling]);
}

export function conventionsOf(groups: readonly SeedGroup[]): Convention[] {
  return CONVENTIONS.filter((scaling) => groups.some((group) => group.scaling === scaling));
}
