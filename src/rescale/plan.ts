/**
 * Rank, alpha and factor of every module after rescaling, and the settings that say so.
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
import type { Source } from "./source.ts";

export interface ModulePlan {
  readonly module: AdapterModule;
  readonly rank: number;
  readonly alpha: number;
  /** `up` and its bias are multiplied by it. */
  readonly factor: number;
}

export interface RescalePlan {
  readonly modules: readonly ModulePlan[];
  readonly settings: ScaleSettings;
  /** Whether the weights file changes. */
  readonly rewrites: boolean;
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER where folding or padding would change what PEFT computes */
export function planRescale(source: Source, options: RescaleOptions): RescalePlan {
  const { adapter, settings, config } = source;
  const { to } = options;
  const commonRank = adapter.modules.reduce((highest, { rank }) => Math.max(highest, rank), 0);
  const flatRank = options.flatten && commonRank > 0 ? commonRank : undefined;
  const modules = adapter.modules.map((module) => planModule(module, flatRank ?? module.rank, source, options));
  for (const plan of modules) assertFoldable(plan, source);

  const rank = flatRank ?? settings.rank;
  const alpha = alphaAfter(settings.alpha, settings.rank, rank, source, options);
  const folds = options.bake === true || options.alpha !== undefined;
  const alphas = new Map(modules.map((plan) => [plan.module.settingsName ?? plan.module.name, plan.alpha]));
  // Nothing changes: not even a spelling.
  const unchanged = !folds && to === settings.convention;
  const alphaPattern = unchanged
    ? settings.alphaPattern
    : assignAlphas(
        folds ? new Map() : settings.alphaPattern,
        alphas,
        alpha,
        (old) => convertAlpha(settings.convention, to, old, settings.rank),
        config.file,
      );
  const rankPattern = flatRank === undefined ? settings.rankPattern : new Map<string, number>();
  return {
    modules,
    settings: { convention: to, rank, alpha, rankPattern, alphaPattern },
    rewrites: modules.some((plan) => plan.factor !== 1 || plan.rank !== plan.module.rank),
  };
}

function planModule(module: AdapterModule, rank: number, source: Source, options: RescaleOptions): ModulePlan {
  const alpha = alphaAfter(module.alpha, module.rank, rank, source, options);
  const folds = options.bake === true || options.alpha !== undefined;
  return { module, rank, alpha, factor: folds ? module.scale / effectiveScale(options.to, alpha, rank) : 1 };
}

function alphaAfter(alpha: number, rankBefore: number, rank: number, source: Source, options: RescaleOptions): number {
  if (options.alpha !== undefined) return options.alpha;
  // A number divided by itself is exactly 1.
  if (options.bake) return options.to === "rslora" ? Math.sqrt(rank) : rank;
  return convertAlpha(source.settings.convention, options.to, alpha, rankBefore);
}

function assertFoldable({ module, rank, factor }: ModulePlan, { config }: Source): void {
  const refuse = (problem: string) =>
    new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: config.file, subject: module.name });
  if (!Number.isFinite(factor)) throw refuse(`its scale ${module.scale} cannot be folded, expected a smaller one`);
  if (module.residual === "olora" && factor !== 1) {
    throw refuse("OLoRA takes scale · up · down of its start out of the base, so its scale cannot be folded");
  }
  if (rank === module.rank) return;
  if (module.residual !== undefined) {
    throw refuse(`${config.initialisation} takes as many directions out of the base as the rank, which must stay`);
  }
  if (config.blockDiagonal !== undefined) throw refuse("factors stored as blocks (use_bdlora) cannot be padded");
}
