/**
 * A model or an adapter that is not where its path says: what the path may have been meant as.
 */

import { FileError, type LoraToolError, toFileError } from "../core/errors.ts";

/** `owner/name`, as on the Hugging Face hub. */
const HUB_NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/** The error of a path that was opened, with a hint where nothing lies there. */
export function explainAbsent(thrown: unknown, path: string): LoraToolError {
  const error = toFileError(thrown, path);
  const hint = hintFor(path);
  if (error.code !== "FILE_NOT_FOUND" || hint === undefined) return error;
  return new FileError("FILE_NOT_FOUND", error.problem, { file: path, hint, cause: error.cause });
}

function hintFor(path: string): string | undefined {
  if (path.startsWith("~"))
    return 'the shell expands "~" only at the start of a word without quotes: write the whole path';
  if (!HUB_NAME.test(path)) return undefined;
  const folder = path.slice(path.indexOf("/") + 1);
  return `check the path; what lies on the Hugging Face hub is downloaded first: hf download ${path} --local-dir ${folder}`;
}
