/**
 * adapter_config.json of mlx-lm: `fine_tune_type` and `lora_parameters` { rank, scale, … }. The rest of the file are the
 * arguments of the training run, which change nothing here.
 *
 * Before `fine_tune_type` there was `use_dora`, and before that `lora_parameters` had an `alpha`: y += scale · alpha / rank
 * · x · lora_a · lora_b (mlx-examples, April 2024).
 */

import { FormatError } from "../../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { booleanField, rankField, type Settings, stringField, toAlpha, wrongType } from "../peft/fields.ts";

const TYPES = ["lora", "dora", "full"] as const;
type FineTuneType = (typeof TYPES)[number];

export interface MlxSettings {
  readonly type: FineTuneType;
  readonly rank: number;
  /** The final multiplier: it is not divided by the rank. */
  readonly scale: number;
  /** Name of the base, as the training run was told. */
  readonly baseModel: string | undefined;
  readonly warnings: readonly string[];
}

/** Whether settings are of mlx-lm. */
export function isMlxSettings(values: JsonObject): boolean {
  return !values.has("peft_type") && (values.has("lora_parameters") || values.has("fine_tune_type"));
}

/** @throws {FormatError} INVALID_CONFIG */
export function readMlxSettings(values: JsonObject, file: string): MlxSettings {
  const settings: Settings = { file, values };
  const name = stringField(settings, "fine_tune_type") ?? (booleanField(settings, "use_dora", false) ? "dora" : "lora");
  const type = TYPES.find((candidate) => candidate === name);
  if (type === undefined) throw wrongType(settings, "fine_tune_type", TYPES.join(", "), name);
  const baseModel = stringField(settings, "model");
  if (type === "full") return { type, rank: 0, scale: 1, baseModel, warnings: [] };
  const parameters = values.get("lora_parameters");
  if (!(parameters instanceof Map)) throw wrongType(settings, "lora_parameters", "an object", parameters);
  const members = Array.from(parameters as JsonObject, ([key, value]) => [`lora_parameters.${key}`, value] as const);
  const inner: Settings = { file, values: new Map(members) };
  const rank = rankField(inner, "lora_parameters.rank");
  const scale = scaleOf(inner.values.get("lora_parameters.scale"), file);
  const alpha = inner.values.get("lora_parameters.alpha") ?? rank;
  if (alpha === rank) return { type, rank, scale, baseModel, warnings: [] };
  const written = `lora_parameters has scale ${scale} and alpha ${toAlpha(inner, "lora_parameters.alpha", alpha)}`;
  const isOld = !values.has("fine_tune_type");
  const old = scaleOf((scale * Number(alpha)) / rank, file);
  return {
    type,
    rank,
    scale: isOld ? old : scale,
    baseModel,
    warnings: [
      isOld
        ? `${written}: read as the mlx-lm of that time, scale · alpha / rank = ${old}; today's ignores the alpha`
        : `${written}: the alpha is ignored, as mlx-lm does since it writes fine_tune_type`,
    ],
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
