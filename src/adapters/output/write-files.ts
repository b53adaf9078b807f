/**
 * The files of an adapter, planned by a layout → a folder or a file on disk, complete or not there at all.
 */

import { basename } from "node:path";
import type { RunOptions } from "../../core/progress.ts";
import { withFile } from "../../formats/byte-source.ts";
import { type StagedOutput, stageOutput } from "../../formats/output.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import type { FileIdentity } from "../../formats/tensor-store.ts";
import type { EncodeFrame, WeightsFrame } from "../../formats/weights-frame.ts";
import { copyInto, copyIntoSync, fillFileSync } from "../../formats/write-file.ts";
import type { Rounding } from "./multiply.ts";
import type { OutputTensor } from "./output-tensor.ts";
import { writeWeights } from "./write-weights.ts";

/** What a layout makes of an adapter. */
export interface AdapterOutput {
  /** Name of the weights in a folder; `undefined`: the output is that one file. */
  readonly weightsName: string | undefined;
  /** In the order of the file. */
  readonly tensors: readonly OutputTensor[];
  readonly frame: EncodeFrame;
  /** The weights are byte for byte those of this file, which spares reading tensors. */
  readonly copyOf?: string;
  /** Of the weights, as a store shows it. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Other files of the folder, by name. */
  readonly texts: ReadonlyMap<string, string>;
}

export interface FillOptions extends RunOptions {
  /** Small files that travel along into a folder, path by name. */
  readonly companions?: ReadonlyMap<string, string>;
}

export interface WriteFilesOptions extends FillOptions {
  readonly overwrite?: boolean | undefined;
  /** Files that are read: they must not change meanwhile and are never replaced. */
  readonly inputs: readonly FileIdentity[];
}

export interface WrittenFiles {
  /** Of the weights, in bytes. */
  readonly bytes: number;
  /** Names in the folder; of a file its own. */
  readonly files: readonly string[];
  /** By name of the tensor. */
  readonly roundings: ReadonlyMap<string, Rounding>;
}

/**
 * @param out the folder or file to become
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function writeAdapter(
  out: string,
  output: AdapterOutput,
  options: WriteFilesOptions,
): Promise<WrittenFiles> {
  const { overwrite = false, inputs, signal } = options;
  const staged = stageOutput(out, { kind: output.weightsName === undefined ? "file" : "folder", overwrite, inputs });
  return publishStage(staged, { inputs, signal }, () => fillStage(staged, output, options, basename(out)));
}

/** Everything into a stage, which is left to the caller to publish. */
export async function fillStage(
  staged: StagedOutput,
  { weightsName, copyOf, tensors, frame, texts }: AdapterOutput,
  { companions = new Map(), ...options }: FillOptions,
  fileName = "weights",
): Promise<WrittenFiles> {
  const name = weightsName ?? fileName;
  const { bytes, roundings } =
    copyOf === undefined
      ? await fillWeights(staged, name, frame(tensors), tensors, options)
      : await copyWeights(staged, name, copyOf, options);
  for (const [text, content] of texts) fillFileSync(staged.createFile(text), content);
  for (const [companion, path] of companions) copyIntoSync(path, staged.createFile(companion));
  return { bytes, files: [name, ...texts.keys(), ...companions.keys()], roundings };
}

type WrittenWeights = Pick<WrittenFiles, "bytes" | "roundings">;

async function fillWeights(
  staged: StagedOutput,
  name: string,
  frame: WeightsFrame,
  tensors: readonly OutputTensor[],
  options: RunOptions,
): Promise<WrittenWeights> {
  staged.reserve(frame.size);
  const roundings = await writeWeights(staged.createFile(name), frame, tensors, options);
  return { bytes: frame.size, roundings };
}

async function copyWeights(
  staged: StagedOutput,
  name: string,
  source: string,
  { onProgress }: RunOptions,
): Promise<WrittenWeights> {
  const bytes = withFile(source, ({ identity }) => identity.size);
  staged.reserve(bytes);
  await copyInto(source, staged.createFile(name));
  onProgress?.({ phase: "write", done: bytes, total: bytes, unit: "bytes" });
  return { bytes, roundings: new Map() };
}
