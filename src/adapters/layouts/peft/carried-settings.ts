/**
 * Settings of a PEFT adapter that stay true when its factors are replaced: targets, task, dropout and the like.
 */

import type { JsonObject } from "../../../core/json.ts";
import { parseJsonObject } from "../../../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../../../core/limits.ts";
import { readSmallFile } from "../../../formats/byte-source.ts";
import type { Adapter } from "../../adapter.ts";

/** What follows from the modules, what the new factors no longer are, and what names tensors that only training used. */
const REPLACED: ReadonlySet<string> = new Set([
  "peft_type",
  "peft_version",
  "r",
  "lora_alpha",
  "rank_pattern",
  "alpha_pattern",
  "use_rslora",
  "use_dora",
  "lora_bias",
  "init_lora_weights",
  "use_bdlora",
  "velora_config",
  "monteclora_config",
]);

/** None for other layouts and for other types of PEFT, whose settings mean something else. */
export function carriedSettings({ layout, files }: Adapter): JsonObject {
  const settings = files[1];
  if (layout !== "peft" || settings === undefined) return new Map();
  const { bytes } = readSmallFile(settings.path, MAX_CONFIG_BYTES);
  const values = parseJsonObject(bytes, { file: settings.path });
  if (values.get("peft_type") !== "LORA") return new Map();
  return new Map([...values].filter(([key, value]) => value !== null && !REPLACED.has(key)));
}
