/**
 * Whole modules and nothing else, as PEFT saves them: type LN_TUNING, `<module>.ln_tuning_layers.<parameter>` (PEFT 0.21.2
 * `ln_tuning/layer.py`, which takes modules of every kind). Its LoRA needs a target to load.
 */

import { compareCodePoints } from "../../../core/text.ts";
import type { Adapter, Override } from "../../adapter.ts";
import { copyOf } from "../../output/output-tensor.ts";
import { splitParameterName } from "./entries.ts";
import { typeSettings, type WrittenTensors } from "./written-type.ts";

/** Whether an adapter without factors is parameters of modules alone. */
export function isWholeOnly({ overrides, tokenRows }: Pick<Adapter, "overrides" | "tokenRows">): boolean {
  return overrides.length > 0 && tokenRows.length === 0 && overrides.every(({ name }) => name.includes("."));
}

export function writeWhole(overrides: readonly Override[], baseModel: string | undefined): WrittenTensors {
  const parts = overrides.map(({ name, value }) => ({ ...splitParameterName(name), value }));
  const names = new Set(parts.map(({ module }) => module));
  const settings = typeSettings("LN_TUNING", baseModel, [
    ["target_modules", [...names].sort(compareCodePoints)],
    ["modules_to_save", null],
  ]);
  const tensors = parts.map(({ module, parameter, value }) =>
    copyOf(value, `base_model.model.${module}.ln_tuning_layers.${parameter}`),
  );
  return { tensors, settings };
}
