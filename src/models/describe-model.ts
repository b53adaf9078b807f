/**
 * config.json → what the model computes.
 *
 * Refused: model types without a row here (`UNSUPPORTED_MODEL`, which lists those that have one), settings that the row
 * does not handle (`UNSUPPORTED_MODEL`), and values that no setting has (`INVALID_CONFIG`).
 */

import { UnsupportedError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { ConfigReader } from "./config-reader.ts";
import type { ModelDescription } from "./description.ts";
import { describeLlama } from "./families/llama.ts";

/** By `model_type`. */
const FAMILIES: ReadonlyMap<string, (config: ConfigReader) => ModelDescription> = new Map([["llama", describeLlama]]);

/** @param path the configuration's, for messages */
export function describeModel(config: JsonObject, path: string): ModelDescription {
  const reader = new ConfigReader(config, path);
  const describe = reader.choice("model_type", FAMILIES);
  if (reader.has("quantization_config")) {
    throw new UnsupportedError("QUANTIZED_BASE", "the weights are quantised", {
      file: path,
      subject: "quantization_config",
      hint: "use the model's unquantised weights",
    });
  }
  return describe(reader);
}
