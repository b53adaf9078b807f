/**
 * The folder of a run: what may lie there when it starts, and what is put there when it ends.
 */

import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { PEFT_SETTINGS_NAME, PEFT_WEIGHTS_NAME } from "../../adapters/layouts/peft/write.ts";
import type { AdapterOutput } from "../../adapters/output/write-files.ts";
import { writeWeights } from "../../adapters/output/write-weights.ts";
import { toFileError } from "../../core/errors.ts";
import { makeFolders } from "../../formats/make-folders.ts";
import { stageOutput } from "../../formats/output.ts";
import { assertWritable } from "../../formats/output-checks.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import type { FileIdentity } from "../../formats/tensor-store.ts";
import { fillFileSync } from "../../formats/write-file.ts";
import { CHECKPOINTS_FOLDER } from "./checkpoint.ts";
import { METRICS_FILES } from "./metrics.ts";

export const REPORT_NAME = "report.html";
export const TENSORBOARD_FOLDER = "tensorboard";

/** Everything that a run writes; nothing else in the folder is ever touched. */
const OWN_NAMES = [
  PEFT_WEIGHTS_NAME,
  PEFT_SETTINGS_NAME,
  ...METRICS_FILES,
  REPORT_NAME,
  TENSORBOARD_FOLDER,
  CHECKPOINTS_FOLDER,
];

export interface FolderRules {
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly inputs: readonly FileIdentity[];
}

/** @throws {FileError} OUTPUT_EXISTS, SAME_PATH and so on, before anything is computed */
export function assertRunFolder(out: string, { resume, overwrite, inputs }: FolderRules): void {
  try {
    assertWritable(resolve(out), { kind: "folder", overwrite: overwrite || resume, inputs });
  } catch (error) {
    throw toFileError(error, out);
  }
}

/** Makes the folder; what an earlier run left there goes, unless this one goes on with it. */
export function openRunFolder(out: string, resume: boolean): void {
  try {
    makeFolders(out);
    if (resume) return;
    for (const name of OWN_NAMES) rmSync(join(out, name), { recursive: true, force: true });
  } catch (error) {
    throw toFileError(error, out);
  }
}

/** The adapter, settings first: where there are weights, the adapter is whole. */
export async function writeResult(out: string, { tensors, frame, texts }: AdapterOutput): Promise<string[]> {
  const names: string[] = [];
  for (const [name, text] of texts) {
    await writeFile(out, name, (path) => fillFileSync(path, text));
    names.push(name);
  }
  await writeFile(out, PEFT_WEIGHTS_NAME, (path) => writeWeights(path, frame(tensors), tensors, {}));
  return [...names, PEFT_WEIGHTS_NAME];
}

/** One file, whole or as it was. */
export async function writeFile(out: string, name: string, fill: (path: string) => unknown): Promise<void> {
  const staged = stageOutput(join(out, name), { kind: "file", overwrite: true, inputs: [] });
  await publishStage(staged, { inputs: [] }, () => fill(staged.createFile(name)));
}
