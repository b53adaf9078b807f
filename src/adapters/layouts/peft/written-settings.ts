/**
 * adapter_config.json of a LoRA adapter, from its modules.
 */

import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { AdapterModule, ExpertLayout } from "../../adapter.ts";
import { mostCommon } from "../../output/common-scale.ts";
import type { PeftContent } from "./write.ts";
import { anchoredKey } from "./write-scales.ts";
import type { WrittenModule } from "./written-module.ts";

/** @param more what whole parameters add */
export function loraSettings(
  { modules, convention, baseModel, keepsTie = false, fanInFanOut = false }: PeftContent,
  written: readonly WrittenModule[],
  more: JsonObject,
): JsonObject {
  const rank = mostCommon(written.map((module) => module.rank)) ?? 8;
  const alpha = mostCommon(written.map((module) => module.alpha)) ?? 8;
  const names = (isParameter: boolean) => sorted(written.filter((module) => module.isParameter === isParameter));
  const [modulesNamed, parametersNamed] = [names(false), names(true)];
  const version = peftVersion(modules);
  return new Map<string, JsonValue>([
    ["peft_type", "LORA"],
    ...(version === undefined ? [] : [["peft_version", version] as const]),
    ["task_type", null],
    ["base_model_name_or_path", baseModel ?? null],
    ["inference_mode", true],
    ["r", rank],
    ["lora_alpha", alpha],
    ["use_rslora", convention === "rslora"],
    ["use_dora", modules.some(({ magnitude }) => magnitude !== undefined)],
    ["lora_bias", modules.some(({ bias }) => bias !== undefined)],
    ["rank_pattern", scalePattern(written, "rank", rank)],
    ["alpha_pattern", scalePattern(written, "alpha", alpha)],
    ["target_modules", modulesNamed],
    ["target_parameters", parametersNamed.length === 0 ? null : parametersNamed],
    ["init_lora_weights", modules.find(({ residual }) => residual !== undefined)?.residual ?? true],
    ["lora_dropout", 0],
    ["bias", "none"],
    ["fan_in_fan_out", fanInFanOut],
    ["ensure_weight_tying", keepsTie],
    ["modules_to_save", null],
    ...more,
  ]);
}

/** The version whose order of expert factors the file has; it decides nothing else. */
function peftVersion(modules: readonly AdapterModule[]): string | undefined {
  const swapped = modules.find(({ expertLayout }) => expertLayout !== undefined)?.expertLayout?.swapped ?? false;
  return VERSIONS.get(swapped);
}

const VERSIONS: ReadonlyMap<ExpertLayout["swapped"], string | undefined> = new Map<
  ExpertLayout["swapped"],
  string | undefined
>([
  [false, "0.21.2"],
  [true, "0.19.0"],
  ["unless-transposed", "0.18.1"],
  ["by-shape", undefined],
]);

function sorted(modules: readonly WrittenModule[]): string[] {
  return [...new Set(modules.map(({ settingsName }) => settingsName))].sort(compareCodePoints);
}

/** An anchored key for each module that differs from the setting for all. */
export function scalePattern(
  written: readonly Pick<WrittenModule, "settingsName" | "rank" | "alpha">[],
  key: "rank" | "alpha",
  common: number,
): JsonObject {
  const others = written.filter((module) => module[key] !== common);
  const entries = others.map((module) => [anchoredKey(module.settingsName), module[key]] as const);
  return new Map(entries.sort(([a], [b]) => compareCodePoints(a, b)));
}
