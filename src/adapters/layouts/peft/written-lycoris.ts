/**
 * LoHa and LoKr as PEFT saves them: bare tensors hada_w1_a …, lokr_w1 …, one `alpha` and patterns as LoRA has (PEFT 0.21.2
 * `loha/layer.py`, `lokr/layer.py`). Convolutions with cores (hada_t1, lokr_t2) are `use_effective_conv2d`.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule, Delta } from "../../adapter.ts";
import { alphaOfScale } from "../../alpha.ts";
import { mostCommon } from "../../output/common-scale.ts";
import { copyOf, type OutputTensor } from "../../output/output-tensor.ts";
import { effectiveScale } from "../../scale.ts";
import { lokrSizes } from "./lokr-sizes.ts";
import { parameterTensors } from "./written-parameters.ts";
import { scalePattern } from "./written-settings.ts";
import { typeSettings, type WrittenTensors } from "./written-type.ts";

export interface LohaModule extends AdapterModule {
  readonly delta: Extract<Delta, { kind: "loha" }>;
}

export interface LokrModule extends AdapterModule {
  readonly delta: Extract<Delta, { kind: "lokr" }>;
}

/** Whether PEFT's LoHa can hold all of them. */
export function isLoha(modules: readonly AdapterModule[]): modules is readonly LohaModule[] {
  return modules.length > 0 && modules.every(({ delta }) => delta.kind === "loha");
}

/** Whether PEFT's LoKr can hold all of them, if their sizes are PEFT's. */
export function isLokr(modules: readonly AdapterModule[]): modules is readonly LokrModule[] {
  return modules.length > 0 && modules.every(({ delta }) => delta.kind === "lokr");
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER for a scale below 0, biases and token rows */
export function writeLoha(modules: readonly LohaModule[], adapter: Adapter): WrittenTensors {
  const withCores = modules.some(({ delta }) => delta.t1 !== undefined);
  const whole = wholeModules("LoHa", adapter);
  const more: JsonObject = new Map([["use_effective_conv2d", withCores], ...whole.settings]);
  const tensors = modules.flatMap(({ name, delta: { w1a, w1b, w2a, w2b, t1, t2 } }) =>
    copies(name, "hada", { w1_a: w1a, w1_b: w1b, w2_a: w2a, w2_b: w2b, t1, t2 }),
  );
  return { tensors: [...tensors, ...whole.tensors], settings: settingsOf("LOHA", modules, adapter.baseModel, more) };
}

/**
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for factors of sizes that PEFT would not choose, a scale below 0, biases and
 *   token rows
 */
export function writeLokr(modules: readonly LokrModule[], adapter: Adapter): WrittenTensors {
  const { ranks, settings } = lokrSizes(modules);
  const whole = wholeModules("LoKr", adapter);
  const more: JsonObject = new Map([...settings, ...whole.settings]);
  const ranked = modules.map((module) => ({ ...module, rank: ranks.get(module) ?? module.rank }));
  const tensors = modules.flatMap(({ name, delta: { w1, w2, t2 } }) => {
    const [first, second] = [partsOf("w1", w1), partsOf("w2", w2)];
    return copies(name, "lokr", { ...first, ...second, t2 });
  });
  return { tensors: [...tensors, ...whole.tensors], settings: settingsOf("LOKR", ranked, adapter.baseModel, more) };
}

/** `modules_to_save`: all that these types have beside their factors. */
function wholeModules(type: string, adapter: Adapter): WrittenTensors {
  const written = parameterTensors(adapter);
  for (const key of ["bias", "trainable_token_indices"]) {
    if (!written.settings.has(key)) continue;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `PEFT's ${type} has no such setting, which the adapter needs`, {
      file: adapter.path,
      subject: key,
    });
  }
  return written;
}

function settingsOf(
  type: "LOHA" | "LOKR",
  modules: readonly AdapterModule[],
  baseModel: string | undefined,
  more: JsonObject,
): JsonObject {
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
  return typeSettings(type, baseModel, [
    ["r", rank],
    ["alpha", alpha],
    ["rank_dropout", 0],
    ["module_dropout", 0],
    ["init_weights", true],
    ["rank_pattern", scalePattern(written, "rank", rank)],
    ["alpha_pattern", scalePattern(written, "alpha", alpha)],
    ["target_modules", written.map(({ settingsName }) => settingsName).sort(compareCodePoints)],
    ["modules_to_save", null],
    ...more,
  ]);
}

/** A whole matrix, or the two factors of a product. */
function partsOf(name: string, [a, b]: LokrModule["delta"]["w1"]): Record<string, TensorData> {
  return b === undefined ? { [name]: a } : { [`${name}_a`]: a, [`${name}_b`]: b };
}

function copies(
  module: string,
  kind: "hada" | "lokr",
  factors: Readonly<Record<string, TensorData | undefined>>,
): OutputTensor[] {
  return Object.entries(factors).flatMap(([factor, tensor]) =>
    tensor === undefined ? [] : [copyOf(tensor, `base_model.model.${module}.${kind}_${factor}`)],
  );
}
