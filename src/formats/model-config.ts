/**
 * config.json of a model folder or inside an exported model.
 */

import { statSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../core/json.ts";
import { parseJsonObject } from "../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../core/limits.ts";
import { readSmallFile } from "./byte-source.ts";
import { listFolder, resolveInFolder } from "./model-folder.ts";
import { CONFIG_KEY } from "./onnx/metadata.ts";
import type { OnnxModel } from "./onnx/model.ts";

/** Where config.json says that the weights are quantised: transformers', and mlx-lm's. */
const QUANTISATION_KEYS = ["quantization_config", "quantization"];

const CONFIG_NAME = "config.json";

/**
 * The parsed file, with or without weights beside it; `undefined` where the path is no folder or has none.
 *
 * @throws {FormatError | FileError} for one that cannot be read
 */
export function findModelConfig(folder: string): JsonObject | undefined {
  if (!isFolder(folder)) return undefined;
  if (!listFolder(folder).includes(CONFIG_NAME)) return undefined;
  return readModelConfig(resolveInFolder(folder, CONFIG_NAME), join(folder, CONFIG_NAME));
}

/** The key under which config.json, or its section on the language model, says that the weights are quantised. */
export function quantisationKey(config: JsonObject | undefined): string | undefined {
  const sections = [config, config?.get("text_config")];
  return QUANTISATION_KEYS.find((key) =>
    sections.some((section) => section instanceof Map && section.get(key) != null),
  );
}

/** Exported models carry theirs in the metadata. */
export function configInMetadata({ metadata, path }: Pick<OnnxModel, "metadata" | "path">): JsonObject | undefined {
  const text = metadata.get(CONFIG_KEY);
  return text === undefined ? undefined : parseModelConfig(new TextEncoder().encode(text), path);
}

/** Names in the settings of an adapter may be anything: one that the system does not take is no folder. */
function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}

/** @param shownPath how errors name it */
export function readModelConfig(path: string, shownPath: string): JsonObject {
  const { bytes } = readSmallFile(path, MAX_CONFIG_BYTES, shownPath);
  return parseModelConfig(bytes, shownPath);
}

function parseModelConfig(bytes: Uint8Array, shownPath: string): JsonObject {
  return parseJsonObject(bytes, { file: shownPath, pythonNumbers: true });
}
