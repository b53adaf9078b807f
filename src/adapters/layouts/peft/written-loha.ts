/**
 * LoHa as PEFT saves it: bare tensors hada_w1_a …, one `alpha` and patterns as LoRA has (PEFT 0.21.2 `loha/layer.py`).
 *
 * Convolutions with cores (hada_t1, hada_t2) are `use_effective_conv2d`.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { AdapterModule, Delta } from "../../adapter.ts";
import { alphaOfScale } from "../../alpha.ts";
import { mostCommon } from "../../output/common-scale.ts";
import { copyOf, type OutputTensor } from "../../output/output-tensor.ts";
import { effectiveScale } from "../../scale.ts";
import { scalePattern } from "./written-settings.ts";

interface LohaModule extends AdapterModule {
  readonly delta: Extract<Delta, { kind: "loha" }>;
}

/** Whether PEFT's LoHa can hold all of them. */
export function isLoha(modules: readonly AdapterModule[]): modules is readonly LohaModule[] {
  return modules.length > 0 && modules.every(({ delta }) => delta.kind === "loha");
}

export function writeLoha(
  modules: readonly LohaModule[],
  baseModel: string | undefined,
): { readonly tensors: readonly OutputTensor[]; readonly settings: JsonObject } {
  const withCores = modules.some(({ delta }) => delta.t1 !== undefined);
  const negative = modules.find(({ scale }) => scale < 0);
  if (negative !== undefined) {
    const problem = `its scale ${negative.scale} is below 0, which PEFT's settings cannot hold`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject: negative.name });
  }
  const written = modules.map(({ name, rank, alpha, scale }) => ({
    settingsName: name,
    rank,
    alpha: effectiveScale("lora", alpha, rank) === scale ? alpha : alphaOfScale("lora", scale, rank),
  }));
  const rank = mostCommon(written.map((module) => module.rank)) ?? 8;
  const alpha = mostCommon(written.map((module) => module.alpha)) ?? 8;
  const settings = new Map<string, JsonValue>([
    ["peft_type", "LOHA"],
    ["task_type", null],
    ["base_model_name_or_path", baseModel ?? null],
    ["inference_mode", true],
    ["r", rank],
    ["alpha", alpha],
    ["rank_dropout", 0],
    ["module_dropout", 0],
    ["use_effective_conv2d", withCores],
    ["init_weights", true],
    ["rank_pattern", scalePattern(written, "rank", rank)],
    ["alpha_pattern", scalePattern(written, "alpha", alpha)],
    ["target_modules", written.map(({ settingsName }) => settingsName).sort(compareCodePoints)],
    ["modules_to_save", null],
  ]);
  return { tensors: modules.flatMap(tensorsOf), settings };
}

function tensorsOf({ name, delta }: LohaModule): OutputTensor[] {
  const { w1a, w1b, w2a, w2b, t1, t2 } = delta;
  const factors = { w1_a: w1a, w1_b: w1b, w2_a: w2a, w2_b: w2b, t1, t2 };
  return Object.entries(factors).flatMap(([factor, tensor]) =>
    tensor === undefined ? [] : [copyOf(tensor, `base_model.model.${name}.hada_${factor}`)],
  );
}
