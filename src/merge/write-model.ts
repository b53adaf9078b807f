/**
 * What is written around the tensors: headers, config, index and the small files that travel with a model.
 */

import type { Model } from "../formats/model.ts";
import type { StagedOutput } from "../formats/output.ts";
import { copyIntoSync, fillFileSync } from "../formats/write-file.ts";
import { editConfig, indexText } from "./model-files.ts";
import type { OutputFile } from "./output-layout.ts";
import type { MergePlan, OutputDtype } from "./plan.ts";

/** Writes each file's header in front of its data. */
export function writeHeaders(files: readonly OutputFile[], pathOf: (file: string) => string): void {
  for (const file of files) fillFileSync(pathOf(file.name), file.header);
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
    if (name === "config.json" && config !== undefined) fillFileSync(path, config);
    else copyIntoSync(source, path);
  }
  // A folder with both an index and this name would leave open which of them counts.
  const single = files.length === 1 && files[0]?.name === "model.safetensors";
  if (files.length > 1 || (model.indexName !== undefined && !single)) {
    fillFileSync(staged.createFile(model.indexName ?? "model.safetensors.index.json"), indexText(files));
  }
}
