/**
 * Whole parameters and token rows as PEFT saves them: `modules_to_save` and trained biases under the names of the base,
 * rows as `<embedding>.token_adapter.trainable_tokens_delta`.
 */

import type { JsonValue } from "../../../core/json.ts";
import { compareCodePoints } from "../../../core/text.ts";
import { copyOf } from "../../output/output-tensor.ts";
import { parameterName, splitParameterName } from "./entries.ts";
import type { PeftContent } from "./write.ts";
import type { WrittenTensors } from "./written-type.ts";

export function parameterTensors({
  modules,
  overrides = [],
  tokenRows = [],
}: Pick<PeftContent, "modules" | "overrides" | "tokenRows">): WrittenTensors {
  const adapted = new Set(modules.map(({ name }) => name));
  const parts = overrides.map(({ name, value }) => ({ ...splitParameterName(name), value }));
  const saved = new Set(parts.flatMap(({ module, parameter }) => (parameter === "bias" ? [] : [module])));
  const biases = parts.filter(({ module, parameter }) => parameter === "bias" && !saved.has(module));
  const tensors = parts.map(({ module, parameter, value }) => {
    const wrapped = adapted.has(module) ? "base_layer." : "";
    return copyOf(value, `base_model.model.${parameterName(module, `${wrapped}${parameter}`)}`);
  });
  const rows = tokenRows.map((entry) =>
    copyOf(entry.rows, `base_model.model.${entry.name}.token_adapter.trainable_tokens_delta`),
  );
  const settings = new Map<string, JsonValue>();
  if (saved.size > 0) settings.set("modules_to_save", [...saved].sort(compareCodePoints));
  if (biases.length > 0) {
    settings.set("bias", biases.every(({ module }) => adapted.has(module)) ? "lora_only" : "all");
  }
  if (tokenRows.length > 0) {
    settings.set("trainable_token_indices", new Map(tokenRows.map(({ name, indices }) => [name, indices])));
  }
  return { tensors: [...tensors, ...rows], settings };
}
