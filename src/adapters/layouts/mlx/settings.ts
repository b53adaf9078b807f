/**
 * adapter_config.json of mlx-lm: `fine_tune_type` and `lora_parameters` { rank, scale, … }. The rest of the file are the
 * arguments of the training run, which change nothing here.
 */

import { FormatError } from "../../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { rankField, type Settings, stringField, wrongType } from "../peft/fields.ts";

const TYPES = ["lora", "dora", "full"] as const;
type FineTuneType = (typeof TYPES)[number];

export interface MlxSettings {
  readonly type: FineTuneType;
  readonly rank: number;
  /** The final multiplier: it is not divided by the rank. */
  readonly scale: number;
  /** Name of the base, as the training run was told. */
  readonly baseModel: string | undefined;
}

/** Whether settings are of mlx-lm. */
export function isMlxSettings(values: JsonObject): boolean {
  return !values.has("peft_type") && (values.has("lora_parameters") || values.has("fine_tune_type"));
}

/** @throws {FormatError} INVALID_CONFIG */
export function readMlxSettings(values: JsonObject, file: string): MlxSettings {
  const settings: Settings = { file, values };
  const name = stringField(settings, "fine_tune_type") ?? "lora";
  const type = TYPES.find((candidate) => candidate === name);
  if (type === undefined) throw wrongType(settings, "fine_tune_type", TYPES.join(", "), name);
  const baseModel = stringField(settings, "model");
  if (type === "full") return { type, rank: 0, scale: 1, baseModel };
  const parameters = values.get("lora_parameters");
  if (!(parameters instanceof Map)) throw wrongType(settings, "lora_parameters", "an object", parameters);
  const members = Array.from(parameters as JsonObject, ([key, value]) => [`lora_parameters.${key}`, value] as const);
  const inner: Settings = { file, values: new Map(members) };
  return {
    type,
    rank: rankField(inner, "lora_parameters.rank"),
    scale: scaleOf(inner.values.get("lora_parameters.scale"), file),
    baseModel,
  };
}

function scaleOf(value: JsonValue | undefined, file: string): number {
  if (typeof value === "number" && Math.abs(value) <= LARGEST_F32) return value;
  const found = typeof value === "number" ? value : "nothing";
  throw new FormatError("INVALID_CONFIG", `expected a number that f32 can hold, got ${found}`, {
    file,
    subject: "lora_parameters.scale",
  });
}

/** What is above it scales every delta to infinity. */
const LARGEST_F32 = 3.4028234663852886e38;
