/**
 * The `model_type`s that a config.json names: its own and those of its parts (`text_config`, `vision_config`, `decoder` …).
 */

import type { JsonObject } from "../../core/json.ts";

/** Parts lie one or two levels deep: Qwen2.5-Omni has `thinker_config.text_config`. */
const MAX_DEPTH = 2;

/** Outermost first; empty without a config. */
export function modelTypes(config: JsonObject | undefined): ReadonlySet<string> {
  const types = new Set<string>();
  let level = config === undefined ? [] : [config];
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    const next: JsonObject[] = [];
    for (const object of level) {
      const type = object.get("model_type");
      if (typeof type === "string") types.add(type);
      for (const value of object.values()) if (value instanceof Map) next.push(value as JsonObject);
    }
    level = next;
  }
  return types;
}
