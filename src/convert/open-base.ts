/**
 * What is known of the model that an adapter is for: the one that the user names, else config.json of the local folder that
 * the adapter's own settings name. Nothing is fetched.
 */

import type { Adapter } from "../adapters/adapter.ts";
import type { WriteContext } from "../adapters/layouts/layout-writer.ts";
import { LoraToolError } from "../core/errors.ts";
import { findModelConfig } from "../formats/model-config.ts";
import { openModel } from "../formats/open-model.ts";

/**
 * @param path folder or file; a folder without weights may have a config.json that is enough
 * @throws {FileError | FormatError | UnsupportedError} for a named base that cannot be opened
 */
export async function openBase(path: string | undefined, { baseModel }: Adapter): Promise<WriteContext> {
  if (path === undefined) {
    return { base: undefined, baseConfig: baseModel === undefined ? undefined : findModelConfig(baseModel) };
  }
  try {
    const base = await openModel(path);
    return { base, baseConfig: base.config };
  } catch (error) {
    const baseConfig = hasNoWeights(error) ? findModelConfig(path) : undefined;
    if (baseConfig === undefined) throw error;
    return { base: undefined, baseConfig };
  }
}

function hasNoWeights(error: unknown): boolean {
  return error instanceof LoraToolError && (error.code === "FILE_NOT_FOUND" || error.code === "UNSUPPORTED_FORMAT");
}
