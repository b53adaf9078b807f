/**
 * Layouts whose readers know one scale, alpha / rank or a number as it is: the convention that is asked for says what a given
 * alpha means, and changes nothing by itself.
 */

import type { AdapterModule } from "../../adapters/adapter.ts";
import { effectiveScale } from "../../adapters/scale.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { RescaleOptions } from "../options.ts";
import { commonRank, folds, type ModulePlan } from "../plan.ts";

/**
 * @param stored the alpha that the file can hold and the scale that its readers compute from it, for a wanted scale
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for kinds whose scale cannot be folded
 */
export function planOneConvention(
  modules: readonly AdapterModule[],
  options: RescaleOptions,
  file: string,
  stored: (scale: number, rank: number) => { readonly alpha: number; readonly scale: number },
): ModulePlan[] {
  const flatRank = commonRank(modules, options);
  return modules.map((module) => {
    // What is stored whole has no scale to fold.
    if (!folds(options) || (module.rank === 0 && module.scale === 1))
      return { module, rank: module.rank, alpha: module.alpha, factor: 1 };
    assertLora(module, options, file);
    const rank = flatRank ?? module.rank;
    const { alpha, scale } = stored(wantedScale(rank, options), rank);
    return { module, rank, alpha, factor: module.scale / scale };
  });
}

function wantedScale(rank: number, { bake, alpha = rank, to }: RescaleOptions): number {
  return bake ? 1 : effectiveScale(to, alpha, rank);
}

function assertLora({ name, delta, scale }: AdapterModule, { flatten }: RescaleOptions, file: string): void {
  const refuse = (problem: string) => new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject: name });
  if (delta.kind !== "lora") throw refuse(`only scales of LoRA can be folded, this is ${delta.kind}`);
  if (delta.core !== undefined && flatten) throw refuse("the core of a Tucker decomposition cannot be padded");
  if (!Number.isFinite(scale)) throw refuse(`its scale ${scale} cannot be folded`);
}

/**
 * What to say where nothing changes because the layout has no second convention.
 *
 * @param more what to do about it
 */
export function conventionNotes(
  layout: string,
  { to, ...options }: RescaleOptions,
  more = "; for a PEFT folder with the flag, convert --to peft and rescale that",
): string[] {
  if (to === "lora" || folds({ to, ...options })) return [];
  return [
    `${layout} has no flag for rsLoRA: its readers take the scale as it stands, which is right under either convention${more}`,
  ];
}
