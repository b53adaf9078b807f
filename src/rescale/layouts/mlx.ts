/**
 * A folder of mlx-lm: one final scale for all modules, `lora_parameters.scale` of adapter_config.json.
 */

import { replaceJsonValue } from "../../core/json-edit.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import { formatNumber } from "../../core/json-text.ts";
import { safetensorsFrame } from "../../formats/safetensors/writer.ts";
import { changedTensors } from "../changed-tensors.ts";
import { folds, rewrites } from "../plan.ts";
import { conventionNotes, planOneConvention } from "./one-convention.ts";
import type { Rescaler } from "./rescaler.ts";

export const rescaleMlx: Rescaler = ({ adapter, store, settings }, options) => {
  if (settings === undefined) throw new TypeError("an MLX adapter has settings");
  const modules = planOneConvention(adapter.modules, options, options.adapter, (scale, rank) => ({
    alpha: scale * rank,
    scale,
  }));
  const [first] = modules;
  let { text } = settings;
  if (folds(options) && first !== undefined) {
    text = replaceJsonValue(text, ["lora_parameters", "scale"], formatNumber(first.alpha / first.rank));
    const values = parseJsonObject(new TextEncoder().encode(settings.text), { file: settings.path });
    const parameters = values.get("lora_parameters");
    // Whichever version reads it: alpha / rank is 1.
    const hasAlpha = parameters instanceof Map && parameters.has("alpha");
    if (hasAlpha) text = replaceJsonValue(text, ["lora_parameters", "alpha"], String(first.rank));
  }
  return {
    from: "lora",
    modules,
    rewrites: rewrites(modules),
    output: {
      weightsName: "adapters.safetensors",
      tensors: changedTensors(store.tensors.values(), modules, "rank-major"),
      frame: (entries) => safetensorsFrame(entries, store.metadata),
      metadata: store.metadata,
      texts: new Map([["adapter_config.json", text]]),
    },
    notes: conventionNotes("MLX", options),
  };
};
