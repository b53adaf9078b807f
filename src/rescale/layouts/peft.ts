/**
 * A PEFT folder: numbers of adapter_config.json change, and nothing else in it.
 *
 * Only PEFT's LoRA has two conventions; every other type is refused with the reason.
 */

import { type PeftConfig, readPeftConfig } from "../../adapters/layouts/peft/config.ts";
import { patternField, toAlpha, toRank } from "../../adapters/layouts/peft/fields.ts";
import { PEFT_SETTINGS_NAME, PEFT_WEIGHTS_NAME } from "../../adapters/layouts/peft/write.ts";
import { type ScaleSettings, writeScales } from "../../adapters/layouts/peft/write-scales.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import { safetensorsFrame } from "../../formats/safetensors/writer.ts";
import { changedTensors } from "../changed-tensors.ts";
import { planPeftScales, rewrites } from "../plan.ts";
import type { Rescaler } from "./rescaler.ts";

export const rescalePeft: Rescaler = ({ adapter, store, settings: file }, options) => {
  if (file === undefined) throw new TypeError("a PEFT adapter has settings");
  const config = readPeftConfig(parseJsonObject(new TextEncoder().encode(file.text), { file: file.path }), file.path);
  if (config.type !== "LORA") {
    const problem = `${adapter.method} has one convention, PEFT reads use_rslora for LoRA only`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: options.adapter, subject: "peft_type" });
  }
  const settings = scaleSettings(config);
  const hasBlocks = config.blockDiagonal !== undefined;
  const plan = planPeftScales({ modules: adapter.modules, settings, file: config.file, hasBlocks }, options);
  return {
    from: settings.convention,
    modules: plan.modules,
    rewrites: rewrites(plan.modules),
    output: {
      weightsName: PEFT_WEIGHTS_NAME,
      tensors: changedTensors(store.tensors.values(), plan.modules, options.expertOrder ?? "rank-major"),
      frame: (entries) => safetensorsFrame(entries, store.metadata),
      metadata: store.metadata,
      texts: new Map([[PEFT_SETTINGS_NAME, writeScales(file.text, settings, plan.settings)]]),
    },
    notes: patternNotes(plan.settings),
  };
};

/** The part of the settings that makes up the scales. */
export function scaleSettings({ settings, convention, rank, alpha }: PeftConfig): ScaleSettings {
  return {
    convention,
    rank,
    alpha,
    rankPattern: patternField(settings, "rank_pattern", toRank),
    alphaPattern: patternField(settings, "alpha_pattern", toAlpha),
  };
}

export function patternNotes({ rankPattern, alphaPattern }: ScaleSettings): string[] {
  const keys = [...(rankPattern.size > 0 ? ["rank_pattern"] : []), ...(alphaPattern.size > 0 ? ["alpha_pattern"] : [])];
  if (keys.length === 0) return [];
  return [`the scales need ${keys.join(" and ")}; for readers that ignore patterns, use --bake --flatten`];
}
