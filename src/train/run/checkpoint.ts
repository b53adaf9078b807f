/**
 * Checkpoints under `<out>/checkpoints/step-N`: a PEFT folder that can be used as it is, the optimiser's moments, the state
 * of the run, and a manifest with the sha256 of each file. Written to the side and renamed: complete or absent.
 */

import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type AdapterOutput, fillStage } from "../../adapters/output/write-files.ts";
import { FormatError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../../core/limits.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { digestOfFile } from "../../formats/digest.ts";
import { listFolder } from "../../formats/model-folder.ts";
import { stageOutput } from "../../formats/output.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import { writeSafetensors } from "../../formats/safetensors/writer.ts";
import { fillFileSync } from "../../formats/write-file.ts";
import type { TrainedTensor } from "../adapter/trained-tensors.ts";
import { MOMENTS_NAME, momentTensors } from "./moments.ts";
import { parseRunState, type RunState } from "./run-state.ts";

export const CHECKPOINTS_FOLDER = "checkpoints";
const NAME = /^step-([1-9]\d{0,14})$/;
const STATE_NAME = "state.json";
const MANIFEST_NAME = "manifest.json";
const FORMAT = 1;

export class CheckpointStore {
  readonly #folder: string;

  constructor(out: string) {
    this.#folder = join(out, CHECKPOINTS_FOLDER);
  }

  pathOf(step: number): string {
    return join(this.#folder, `step-${step}`);
  }

  /** Writes a checkpoint and returns its path; one of the same step is replaced. */
  async save(state: RunState, adapter: AdapterOutput, tensors: readonly TrainedTensor[]): Promise<string> {
    const path = this.pathOf(state.step);
    const staged = stageOutput(path, { kind: "folder", overwrite: true, inputs: [] });
    return publishStage(staged, { inputs: [] }, async () => {
      const { files } = await fillStage(staged, adapter, {});
      writeSafetensors(staged.createFile(MOMENTS_NAME), momentTensors(tensors), new Map());
      const statePath = staged.createFile(STATE_NAME);
      fillFileSync(statePath, `${JSON.stringify(state, undefined, 2)}\n`);
      const names = [...files, MOMENTS_NAME, STATE_NAME];
      const hashes = Object.fromEntries(
        names.map((name) => [name, digestOfFile("sha256", join(dirname(statePath), name))]),
      );
      const manifest = { format: FORMAT, files: hashes };
      fillFileSync(staged.createFile(MANIFEST_NAME), `${JSON.stringify(manifest, undefined, 2)}\n`);
      return path;
    });
  }

  /** Steps of the checkpoints that are there, newest first; whether they are whole only reading them shows. */
  steps(): number[] {
    const names = existsSync(this.#folder) ? listFolder(this.#folder) : [];
    return names.flatMap((name) => Number(NAME.exec(name)?.[1] ?? Number.NaN) || []).sort((a, b) => b - a);
  }

  /**
   * The state of a checkpoint all of whose files are what was written.
   *
   * @throws {FormatError | FileError} saying what is missing or broken
   */
  read(step: number): RunState {
    const path = this.pathOf(step);
    for (const [name, hash] of readManifest(join(path, MANIFEST_NAME))) {
      const file = join(path, name);
      if (digestOfFile("sha256", file) === hash) continue;
      throw new FormatError("INVALID_MODEL", "is not what the checkpoint's manifest says", { file });
    }
    const file = join(path, STATE_NAME);
    return parseRunState(readSmallFile(file, MAX_CONFIG_BYTES).bytes, file);
  }

  /** Removes all but the newest and those named. */
  prune(keep: number, also: ReadonlySet<number>): void {
    for (const step of this.steps().slice(keep)) {
      if (!also.has(step)) rmSync(this.pathOf(step), { recursive: true, force: true });
    }
  }
}

function readManifest(file: string): [name: string, hash: string][] {
  const values = parseJsonObject(readSmallFile(file, MAX_CONFIG_BYTES).bytes, { file });
  const files = values.get("files");
  const wrong = () => new FormatError("INVALID_METADATA", "is no manifest of a checkpoint", { file });
  if (values.get("format") !== FORMAT || !(files instanceof Map)) throw wrong();
  return Array.from(files as JsonObject, ([name, hash]) => {
    if (typeof hash !== "string" || name.includes("/") || name.includes("\\") || name.includes("\0")) throw wrong();
    return [name, hash];
  });
}
