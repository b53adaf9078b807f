/**
 * What is written around the tensors: headers, config, index and the small files that travel with a model.
 */

import { closeSync, copyFileSync, writeFileSync } from "node:fs";
import { toFileError } from "../core/errors.ts";
import type { Model } from "../formats/model.ts";
import type { StagedOutput } from "../formats/output.ts";
import { openForWriteSync, writeAllSync } from "../formats/write-file.ts";
import type { OutputDtype } from "./inputs.ts";
import { editConfig, indexText } from "./model-files.ts";
import type { OutputFile } from "./output-layout.ts";
import type { MergePlan } from "./plan.ts";

/** Writes each file's header in front of its data. */
export function writeHeaders(files: readonly OutputFile[], pathOf: (file: string) => string): void {
  for (const file of files) {
    const path = pathOf(file.name);
    const fd = openForWriteSync(path);
    try {
      writeAllSync(fd, file.header, 0, path);
    } finally {
      closeSync(fd);
    }
  }
}

/** config.json (changed only where the merge demands it), tokenizer and the like, and the shard index last. */
export function writeSmallFiles(
  staged: StagedOutput,
  model: Model,
  plan: MergePlan,
  files: readonly OutputFile[],
  dtype: OutputDtype,
): void {
  const config = editConfig(model, plan, dtype);
  for (const [name, source] of model.smallFiles) {
    const path = staged.createFile(name);
    try {
      if (name === "config.json" && config !== undefined) writeFileSync(path, config);
      else copyFileSync(source, path);
    } catch (error) {
      throw toFileError(error, path);
    }
  }
  if (files.length > 1 || model.indexName !== undefined) {
    writeFileSync(staged.createFile(model.indexName ?? "model.safetensors.index.json"), indexText(files));
  }
}
