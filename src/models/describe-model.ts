/**
 * config.json → what the model computes.
 *
 * Refused: model types without a row here (`UNSUPPORTED_MODEL`, which lists those that have one), settings that the row
 * does not handle (`UNSUPPORTED_MODEL`), and values that no setting has (`INVALID_CONFIG`).
 */

import { UnsupportedError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { quantisationKey } from "../formats/model-config.ts";
import { ConfigReader } from "./config-reader.ts";
import type { ModelDescription } from "./description.ts";
import { describeGemma2, describeGemma3, describeGemma3Wrapper } from "./families/gemma.ts";
import { describeGptNeox } from "./families/gpt-neox.ts";
import { describeGpt2 } from "./families/gpt2.ts";
import { describeLlama } from "./families/llama.ts";
import { describeMistral } from "./families/mistral.ts";
import { describePhi3 } from "./families/phi3.ts";
import { describeQwen2, describeQwen3 } from "./families/qwen.ts";

/** By `model_type`. */
const FAMILIES = new Map<string, (config: ConfigReader) => ModelDescription>([
  ["llama", describeLlama],
  ["mistral", describeMistral],
  ["qwen2", describeQwen2],
  ["qwen3", describeQwen3],
  ["gemma2", describeGemma2],
  ["gemma3", describeGemma3Wrapper],
  ["gemma3_text", describeGemma3],
  ["phi3", describePhi3],
  ["gpt2", describeGpt2],
  ["gpt_neox", describeGptNeox],
]);

/** @param path the configuration's, for messages */
export function describeModel(config: JsonObject, path: string): ModelDescription {
  const reader = new ConfigReader(config, path);
  const describe = reader.choice("model_type", FAMILIES);
  const quantisation = quantisationKey(config);
  if (quantisation !== undefined) {
    throw new UnsupportedError("QUANTIZED_BASE", "the weights are quantised", {
      file: path,
      subject: quantisation,
      hint: "use the model's unquantised weights",
    });
  }
  return describe(reader);
}
