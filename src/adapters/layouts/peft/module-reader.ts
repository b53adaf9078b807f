/**
 * What the readers of single adapter types share: how they are called, and the rank and alpha of a module.
 */

import type { AdapterModule } from "../../adapter.ts";
import type { PeftConfig } from "./config.ts";
import type { Entries, ModuleEntry } from "./entries.ts";
import type { Problems } from "./problems.ts";
import type { AdaptedParameter } from "./target-parameters.ts";

export interface ReadContext {
  readonly config: PeftConfig;
  readonly problems: Problems;
  readonly shared: Entries["shared"];
  /** The parameter that an entry adapts instead of the weight of its module. */
  readonly parameterOf: (entry: ModuleEntry) => AdaptedParameter | undefined;
}

/** Turns the factors of one module into a module: `empty` when they have rank 0, `undefined` after a problem was added. */
export type ModuleReader = (entry: ModuleEntry, context: ReadContext) => AdapterModule | "empty" | undefined;

/** What rank_pattern and alpha_pattern see of an entry. */
export function patternName({ place }: ModuleEntry, parameter: AdaptedParameter | undefined): string {
  return parameter?.targeted === true ? `${place.owner}.${parameter.name}` : place.owner;
}

/** Rank and alpha of a module or parameter, after patterns. */
export function rankAndAlpha(config: PeftConfig, name: string): { readonly rank: number; readonly alpha: number } {
  return {
    rank: config.rankPattern.find(name) ?? config.rank,
    alpha: config.alphaPattern.find(name) ?? config.alpha,
  };
}
