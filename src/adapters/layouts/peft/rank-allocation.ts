/**
 * AdaLoRA's `rank_pattern`: for each module the ranks that were kept, as a list of true and false over the ranks of the
 * start, e.g. `{"model.layers.0.self_attn.q_proj.lora_E": [true, false]}`. The tensors in the file are cut already.
 */

import type { JsonValue } from "../../../core/json.ts";
import { type Settings, wrongType } from "./fields.ts";

/** The number of ranks that are left, by module. */
export function readAllocatedRanks(settings: Settings): ReadonlyMap<string, number> {
  const key = "rank_pattern";
  const value = settings.values.get(key) ?? new Map<string, JsonValue>();
  if (!(value instanceof Map)) throw wrongType(settings, key, "an object", value as JsonValue);
  const ranks = new Map<string, number>();
  for (const [name, kept] of value as ReadonlyMap<string, JsonValue>) {
    const subject = `${key}.${name}`;
    const isFlag = (entry: JsonValue): entry is boolean => typeof entry === "boolean";
    if (!Array.isArray(kept) || !kept.every(isFlag)) {
      throw wrongType(settings, subject, "a list of true and false", kept);
    }
    // Written with or without the name of the adapter at the end.
    const module = /^(.+?)\.lora_[ABE](?:\.[^.]+)?$/.exec(name)?.[1];
    if (module === undefined) throw wrongType(settings, subject, "the name of a lora_E", name);
    ranks.set(module, kept.filter((flag) => flag).length);
  }
  return ranks;
}
