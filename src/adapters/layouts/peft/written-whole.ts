/**
 * Whole modules and nothing else, as PEFT saves them: type LN_TUNING, `<module>.ln_tuning_layers.<parameter>` (PEFT 0.21.2
 * `ln_tuning/layer.py`, which takes modules of every kind). Its LoRA needs a target to load.
 */

import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { Adapter, Override } from "../../adapter.ts";
import { copyOf, type OutputTensor } from "../../output/output-tensor.ts";
import { splitParameterName } from "./entries.ts";

/** Whether an adapter without factors is parameters of modules alone. */
export function isWholeOnly({ overrides, tokenRows }: Pick<Adapter, "overrides" | "tokenRows">): boolean {
  return overrides.length > 0 && tokenRows.length === 0 && overrides.every(({ name }) => name.includes("."));
}

export function writeWhole(
  overrides: readonly Override[],
  baseModel: string | undefined,
): { readonly tensors: readonly OutputTensor[]; readonly settings: JsonObject } {
  const parts = overrides.map(({ name, value }) => ({ ...splitParameterName(name), value }));
  const names = new Set(parts.map(({ module }) => module));
  const settings = new Map<string, JsonValue>([
    ["peft_type", "LN_TUNING"],
    ["task_type", null],
    ["base_model_name_or_path", baseModel ?? null],
    ["inference_mode", true],
    ["target_modules", [...names].sort(compareCodePoints)],
    ["modules_to_save", null],
  ]);
  const tensors = parts.map(({ module, parameter, value }) =>
    copyOf(value, `base_model.model.${module}.ln_tuning_layers.${parameter}`),
  );
  return { tensors, settings };
}
