/**
 * Rank, alpha and factor of every module after rescaling, under settings of PEFT.
 *
 * Three ways: another alpha for the same scale (weights stay); scale 1 with the whole scale in `up` (`bake`); a given alpha
 * with the remainder in `up`. delta = scale · up · down stays what it was: scaleAfter · factor = scaleBefore.
 */

import type { AdapterModule } from "../adapters/adapter.ts";
import { convertAlpha } from "../adapters/alpha.ts";
import { assignAlphas, type ScaleSettings } from "../adapters/layouts/peft/write-scales.ts";
import { effectiveScale } from "../adapters/scale.ts";
import { UnsupportedError } from "../core/errors.ts";
import type { RescaleOptions } from "./options.ts";

export interface ModulePlan {
  readonly module: AdapterModule;
  readonly rank: number;
  readonly alpha: number;
  /** `up` and its bias are multiplied by it. */
  readonly factor: number;
}

/** Modules that share one set of settings. */
export interface PeftScales {
  readonly modules: readonly AdapterModule[];
  readonly settings: ScaleSettings;
  /** How errors name the settings. */
  readonly file: string;
  /** Factors are stored as blocks (`use_bdlora`). */
  readonly hasBlocks: boolean;
}

export interface PeftPlan {
  readonly modules: readonly ModulePlan[];
  readonly settings: ScaleSettings;
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER where folding or padding would change what PEFT computes */
export function planPeftScales(scales: PeftScales, options: RescaleOptions): PeftPlan {
  const { settings, file } = scales;
  const { to } = options;
  const flatRank = commonRank(scales.modules, options);
  const modules = scales.modules.map((module) => planModule(module, flatRank ?? module.rank, settings, options));
  for (const plan of modules) assertFoldable(plan, scales);

  const rank = flatRank ?? settings.rank;
  const alpha = alphaAfter(settings.alpha, settings.rank, rank, settings, options);
  const alphas = new Map(modules.map((plan) => [plan.module.settingsName ?? plan.module.name, plan.alpha]));
  // Nothing changes: not even a spelling.
  const unchanged = !folds(options) && to === settings.convention;
  const alphaPattern = unchanged
    ? settings.alphaPattern
    : assignAlphas(
        folds(options) ? new Map() : settings.alphaPattern,
        alphas,
        alpha,
        (old) => convertAlpha(settings.convention, to, old, settings.rank),
        file,
      );
  const rankPattern = flatRank === undefined ? settings.rankPattern : new Map<string, number>();
  return { modules, settings: { convention: to, rank, alpha, rankPattern, alphaPattern } };
}

/** Whether scales go into weights. */
export function folds({ bake, alpha }: RescaleOptions): boolean {
  return bake === true || alpha !== undefined;
}

/** The rank that all modules are padded to, if they are. */
export function commonRank(modules: readonly AdapterModule[], { flatten }: RescaleOptions): number | undefined {
  const highest = modules.reduce((most, { rank }) => Math.max(most, rank), 0);
  return flatten && highest > 0 ? highest : undefined;
}

/** Whether any tensor becomes another. */
export function rewrites(modules: readonly ModulePlan[]): boolean {
  return modules.some((plan) => plan.factor !== 1 || plan.rank !== plan.module.rank);
}

function planModule(module: AdapterModule, rank: number, settings: ScaleSettings, options: RescaleOptions): ModulePlan {
  const alpha = alphaAfter(module.alpha, module.rank, rank, settings, options);
  return { module, rank, alpha, factor: folds(options) ? module.scale / effectiveScale(options.to, alpha, rank) : 1 };
}

function alphaAfter(
  alpha: number,
  rankBefore: number,
  rank: number,
  { convention }: ScaleSettings,
  options: RescaleOptions,
): number {
  if (options.alpha !== undefined) return options.alpha;
  // A number divided by itself is exactly 1.
  if (options.bake) return options.to === "rslora" ? Math.sqrt(rank) : rank;
  return convertAlpha(convention, options.to, alpha, rankBefore);
}

function assertFoldable({ module, rank, factor }: ModulePlan, { file, hasBlocks }: PeftScales): void {
  const refuse = (problem: string) =>
    new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject: module.name });
  if (!Number.isFinite(factor)) throw refuse(`its scale ${module.scale} cannot be folded, expected a smaller one`);
  if (module.residual === "olora" && factor !== 1) {
    throw refuse("OLoRA takes scale · up · down of its start out of the base, so its scale cannot be folded");
  }
  if (rank === module.rank) return;
  if (module.residual !== undefined) {
    throw refuse(`${module.residual} takes as many directions out of the base as the rank, which must stay`);
  }
  if (hasBlocks) throw refuse("factors stored as blocks (use_bdlora) cannot be padded");
}
