/**
 * Factors of single experts (`….experts.3.gate_proj`), which PEFT 0.21.2 stacks when it loads them: for some models only,
 * gate and up side by side, all with the `r` and `lora_alpha` of the settings (`transformers_weight_conversion.py`).
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import type { AdapterModule } from "../../adapter.ts";
import { mostCommon } from "../../output/common-scale.ts";

/**
 * @param config config.json of the base
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the first expert that PEFT would drop or scale wrongly
 */
export function assertStackedByPeft(modules: readonly AdapterModule[], config: JsonObject | undefined): void {
  const experts = modules.filter(({ kind, name }) => kind !== "experts" && SINGLE.test(name));
  const [first] = experts;
  if (first === undefined) return;
  if (config === undefined) {
    throw refusal(first, "whether PEFT stacks single experts depends on the base, expected a config.json", WITH_BASE);
  }
  const type = config.get("model_type");
  if (typeof type !== "string" || !STACKED_TYPES.has(type)) {
    throw refusal(first, "PEFT does not stack the single experts of this base and would leave them out", INSTEAD);
  }
  const rank = mostCommon(modules.map((module) => module.rank));
  const scale = mostCommon(modules.map((module) => module.scale));
  const other = experts.find((module) => module.rank !== rank || module.scale !== scale);
  if (other !== undefined) {
    const problem = `PEFT stacks single experts with the rank and alpha of all, expected rank ${rank} and scale ${scale}, got ${other.rank} and ${other.scale}`;
    throw refusal(other, problem, INSTEAD);
  }
  const names = new Set(experts.map(({ name }) => name));
  for (const module of experts) {
    const [, path = "", layer = ""] = SINGLE.exec(module.name) ?? [];
    const sibling = SIBLINGS.get(layer);
    if (sibling !== undefined && !names.has(`${path}.${sibling}`)) {
      throw refusal(module, `PEFT stacks gate and up together, expected ${sibling} beside it`, INSTEAD);
    }
  }
}

const SINGLE = /^(.*\.experts\.\d+)\.(\w+)$/;

const WITH_BASE = "pass --base with the folder of the base";
const INSTEAD = "merge the adapter into its base instead";

function refusal({ name }: AdapterModule, problem: string, hint: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject: name, hint });
}

const SIBLINGS: ReadonlyMap<string, string> = new Map([
  ["gate_proj", "up_proj"],
  ["up_proj", "gate_proj"],
  ["w1", "w3"],
  ["w3", "w1"],
]);

/** Those that `_MODEL_TO_CONVERSION_PATTERN` (transformers 5.23) and PEFT map to `mixtral` or `qwen2_moe`. */
const STACKED_TYPES: ReadonlySet<string> = new Set([
  "afmoe",
  "cohere2_moe",
  "deepseek_v2",
  "deepseek_v3",
  "deepseek_v32",
  "dots1",
  "ernie4_5_moe",
  "exaone_moe",
  "flex_olmo",
  "glm4_moe",
  "glm4_moe_lite",
  "glm4v_moe",
  "glm_moe_dsa",
  "hunyuan_v1_moe",
  "longcat_flash",
  "mellum",
  "minimax",
  "minimax_m2",
  "mixtral",
  "olmoe",
  "qwen3_moe",
  "qwen3_next",
  "qwen3_omni_moe",
  "qwen3_omni_moe_text",
  "qwen3_omni_moe_thinker",
  "solar_open",
]);
