/**
 * The small files of the output: config.json with the few entries that a merge must change, the shard index, and
 * everything else as it was.
 */

import { modelTypes } from "../adapters/architecture/model-types.ts";
import { scalesWhereTied } from "../adapters/architecture/tied-types.ts";
import type { JsonValue } from "../core/json.ts";
import { replaceJsonValue } from "../core/json-edit.ts";
import { decodeUtf8 } from "../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../core/limits.ts";
import { compareCodePoints } from "../core/text.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import type { Model } from "../formats/model.ts";
import type { OutputFile } from "./output-layout.ts";
import type { MergePlan } from "./plan.ts";

/** Names that transformers gives the dtypes in config.json. */
const CONFIG_DTYPES = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;

/** config.json after the merge, or `undefined` when nothing in it changes. */
export function editConfig(
  model: Model,
  plan: MergePlan,
  dtype: "keep" | keyof typeof CONFIG_DTYPES,
): string | undefined {
  const path = model.smallFiles.get("config.json");
  if (path === undefined || model.config === undefined) return undefined;
  const original = decodeUtf8(readSmallFile(path, MAX_CONFIG_BYTES).bytes, path);
  let text = original;
  const saysUntied = plan.unties && !scalesWhereTied(modelTypes(model.config));
  // Multimodal configs keep the language model's entries in a section of their own.
  const sections: (readonly string[])[] = [[], ["text_config"]];
  for (const section of sections) {
    const set = (key: string, value: JsonValue) => {
      if (valueAt(model, [...section, key]) === undefined) return;
      text = replaceJsonValue(text, [...section, key], JSON.stringify(value));
    };
    if (dtype !== "keep") {
      set("torch_dtype", CONFIG_DTYPES[dtype]);
      set("dtype", CONFIG_DTYPES[dtype]);
    }
    if (plan.vocabularySize !== undefined) set("vocab_size", plan.vocabularySize);
    if (saysUntied) set("tie_word_embeddings", false);
  }
  // Absent means true for many families, so the key must be there once the ends have parted.
  if (saysUntied && valueAt(model, ["tie_word_embeddings"]) === undefined) {
    text = replaceJsonValue(text, ["tie_word_embeddings"], "false");
  }
  return text === original ? undefined : text;
}

/** The shard index in the form that `save_pretrained` writes. */
export function indexText(files: readonly OutputFile[]): string {
  const placed = files.flatMap((file) => file.tensors);
  const total = placed.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const names = placed.map(({ tensor, file }): [string, string] => [tensor.name, file]);
  names.sort(([a], [b]) => compareCodePoints(a, b));
  // Written line by line: `Object.fromEntries` would lose a tensor called `__proto__`.
  const lines = names.map(([name, file]) => `    ${JSON.stringify(name)}: ${JSON.stringify(file)}`);
  return `{\n  "metadata": {\n    "total_size": ${total}\n  },\n  "weight_map": {\n${lines.join(",\n")}\n  }\n}\n`;
}

function valueAt(model: Model, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = model.config;
  for (const key of path) value = value instanceof Map ? (value.get(key) as JsonValue | undefined) : undefined;
  return value;
}
