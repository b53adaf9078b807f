/**
 * What the writers of PEFT's types have in common: tensors, and settings that begin alike.
 */

import type { JsonObject, JsonValue } from "../../../core/json.ts";
import type { OutputTensor } from "../../output/output-tensor.ts";
import type { PeftType } from "./unsupported.ts";

/** What a type, or a part of one, adds to a PEFT folder. */
export interface WrittenTensors {
  readonly tensors: readonly OutputTensor[];
  readonly settings: JsonObject;
}

/** The settings of an adapter of another type than LoRA. */
export function typeSettings(
  type: Exclude<PeftType, "LORA">,
  baseModel: string | undefined,
  more: Iterable<readonly [string, JsonValue]>,
): JsonObject {
  return new Map<string, JsonValue>([
    ["peft_type", type],
    ["task_type", null],
    ["base_model_name_or_path", baseModel ?? null],
    ["inference_mode", true],
    ...more,
  ]);
}
