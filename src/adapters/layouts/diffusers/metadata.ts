/**
 * `lora_adapter_metadata` of a file's metadata: the settings of PEFT for each part of the pipeline, as JSON with keys
 * `<part>.<setting>` (diffusers ≥ 0.34).
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonValue } from "../../../core/json.ts";
import { parseJsonObject } from "../../../core/json-parser.ts";
import type { TensorStore } from "../../../formats/tensor-store.ts";
import type { AdapterModule } from "../../adapter.ts";
import { effectiveScale } from "../../scale.ts";
import { type PeftConfig, readPeftConfig } from "../peft/config.ts";
import { rankAndAlpha } from "../peft/module-reader.ts";
import type { Problems } from "../peft/problems.ts";
import { COMPONENTS } from "./keys.ts";

export const METADATA_KEY = "lora_adapter_metadata";

/**
 * Settings by part of the pipeline; empty when the file has none.
 *
 * @throws {FormatError | UnsupportedError} as for an adapter_config.json
 */
export function readMetadata(store: TensorStore): ReadonlyMap<string, PeftConfig> {
  const text = store.metadata.get(METADATA_KEY);
  if (text === undefined) return new Map();
  const values = parseJsonObject(new TextEncoder().encode(text), { file: store.path });
  const configs = new Map<string, PeftConfig>();
  for (const component of COMPONENTS) {
    const start = `${component}.`;
    const own = [...values].flatMap(([key, value]): [string, JsonValue][] =>
      key.startsWith(start) ? [[key.slice(start.length), value]] : [],
    );
    if (own.length === 0) continue;
    // Every adapter that diffusers writes is LoRA, and older versions leave the type out.
    const config = readPeftConfig(new Map<string, JsonValue>([["peft_type", "LORA"], ...own]), store.path);
    if (config.type !== "LORA" || config.initialisation === "pissa" || config.initialisation === "olora") {
      throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${config.type}, ${config.initialisation} is not read here`, {
        file: store.path,
        subject: METADATA_KEY,
      });
    }
    configs.set(component, config);
  }
  return configs;
}

/** The module with the scale that the settings give it. */
export function withSettings(
  module: AdapterModule,
  config: PeftConfig,
  component: string,
  hasAlpha: boolean,
  problems: Problems,
): AdapterModule {
  const { rank, alpha } = rankAndAlpha(config, module.name.slice(component.length + 1));
  if (module.delta.kind !== "lora" || hasAlpha) {
    problems.add(
      "ADAPTER_MISMATCH",
      module.name,
      `expected LoRA without alphas beside ${METADATA_KEY}, as diffusers does`,
    );
  } else if (rank !== module.rank) {
    problems.add("RANK_MISMATCH", module.name, `expected rank ${rank} as in ${METADATA_KEY}, got ${module.rank}`);
  } else if (config.dora !== (module.magnitude !== undefined)) {
    const found = module.magnitude === undefined ? "no magnitude" : "a magnitude";
    problems.add(
      "ADAPTER_INCOMPLETE",
      module.name,
      `${METADATA_KEY} says use_dora ${config.dora}, the file has ${found}`,
    );
  }
  return { ...module, alpha, scale: effectiveScale(config.convention, alpha, rank) };
}
