/**
 * A GGUF adapter: one `adapter.lora.alpha` in f32 for all modules, scale alpha / rank of each, 1 where alpha is 0 or missing.
 */

import { effectiveScale } from "../../adapters/scale.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { pairsWithF32 } from "../../formats/gguf/pairs.ts";
import { ggufFrame } from "../../formats/gguf/writer.ts";
import { changedTensors } from "../changed-tensors.ts";
import type { RescaleOptions } from "../options.ts";
import { commonRank, folds, type ModulePlan } from "../plan.ts";
import { conventionNotes, planOneConvention } from "./one-convention.ts";
import type { Rescaler, RescaleSource } from "./rescaler.ts";

const ALPHA_KEY = "adapter.lora.alpha";

export const rescaleGguf: Rescaler = (source, options) => {
  const { adapter, store } = source;
  const alpha = folds(options) ? chooseAlpha(source, options) : undefined;
  const modules: ModulePlan[] = planOneConvention(adapter.modules, options, options.adapter, (_, rank) => ({
    alpha: alpha ?? 0,
    scale: (alpha ?? 0) / rank,
  }));
  const metadata = alpha === undefined ? store.metadata : new Map(store.metadata).set(ALPHA_KEY, String(alpha));
  const alignment = Number(store.metadata.get("general.alignment") ?? 32);
  return {
    from: "lora",
    modules,
    rewrites: alpha !== undefined,
    output: {
      weightsName: undefined,
      tensors: changedTensors(store.tensors.values(), modules, "rank-major"),
      frame: (entries) => ggufFrame(entries, pairsWithF32(store.path, ALPHA_KEY, alpha ?? 0), alignment),
      metadata,
      texts: new Map(),
    },
    notes: conventionNotes("GGUF", options),
  };
};

/** The alpha that gives all modules the scale; only one rank for all makes that possible. */
function chooseAlpha({ adapter }: RescaleSource, options: RescaleOptions): number {
  const ranks = new Set(adapter.modules.map(({ rank }) => commonRank(adapter.modules, options) ?? rank));
  const [rank = 1, ...others] = ranks;
  const needsOne = options.bake === true || options.to === "rslora";
  if (others.length > 0 && needsOne) {
    const problem = `GGUF has one alpha for all modules, which have ranks ${[...ranks].join(", ")}`;
    const hint = "add --flatten, which pads them to one rank";
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: options.adapter, hint });
  }
  if (options.bake) return rank;
  const { alpha = rank, to } = options;
  return Math.fround(to === "lora" ? alpha : effectiveScale(to, alpha, rank) * rank);
}
