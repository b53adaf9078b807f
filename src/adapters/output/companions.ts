/**
 * Small files that travel with an adapter: tokenizer, chat template, model card.
 */

import { FileError } from "../../core/errors.ts";
import { collectSmallFiles, listFolder } from "../../formats/model-folder.ts";

/**
 * Path by name, and a warning that names what stays behind; nothing where the adapter is one file.
 *
 * @param path what the user named
 * @param own names of its weights and settings
 */
export function collectCompanions(path: string, own: readonly string[]): ReturnType<typeof collectSmallFiles> {
  try {
    listFolder(path);
  } catch (error) {
    if (error instanceof FileError) return { files: new Map(), warnings: [] };
    throw error;
  }
  return collectSmallFiles(path, new Set(own), new Set(["README.md"]));
}
