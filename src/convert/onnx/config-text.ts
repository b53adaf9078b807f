/** The text of the config.json that belongs to a model. */

import { dirname } from "node:path";
import { decodeUtf8 } from "../../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../../core/limits.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import type { Model } from "../../formats/model.ts";
import { resolveInFolder } from "../../formats/model-folder.ts";
import { CONFIG_KEY } from "../../formats/onnx/metadata.ts";

/** From an ONNX model's own metadata or from beside the weights; `undefined` where the model was opened without one. */
export function configTextOf({ path, kind, config, graph }: Model): string | undefined {
  const own = graph?.model.metadata.get(CONFIG_KEY);
  if (own !== undefined || config === undefined) return own;
  const file = resolveInFolder(kind === "folder" ? path : dirname(path), "config.json");
  return decodeUtf8(readSmallFile(file, MAX_CONFIG_BYTES).bytes, file);
}
