/**
 * A merge cut into parts for several machines: each part computes its own tensors into a folder beside the output, and a
 * last step joins them. The joined output is byte for byte that of one run.
 *
 *   <out>.parts/part-00001-of-00004/tensors.safetensors   the finished tensors of part 1
 *   <out>.parts/part-00001-of-00004/part.json             the fingerprint of the plan, statistics
 */

import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { tensorBytes } from "../core/dtype.ts";
import { MismatchError, toFileError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import type { RunOptions } from "../core/progress.ts";
import { sameShape } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { readTensorRangeSync } from "../formats/byte-source.ts";
import { listFolder } from "../formats/model-folder.ts";
import { stageOutput } from "../formats/output.ts";
import { publishStage } from "../formats/publish-stage.ts";
import { openSafetensors } from "../formats/safetensors/reader.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import { fillFileSync } from "../formats/write-file.ts";
import { fillTensors, hashFiles, type MergePool } from "./execute.ts";
import { adapterFilesOf, filesOf, type Inputs } from "./inputs.ts";
import { layOut, numberOf } from "./output-layout.ts";
import { encodePartRecord, readPartRecord } from "./part-record.ts";
import { type MergePlan, type PlannedTensor, tensorsOf } from "./plan.ts";
import type { TensorStats } from "./tensor-executor.ts";
import { writeHeaders } from "./write-model.ts";

const TENSORS_NAME = "tensors.safetensors";
const RECORD_NAME = "part.json";

/** Bytes of each base tensor that enter the fingerprint. */
const SAMPLE_BYTES = 4096;

/** Computes the tensors of one part and leaves them beside the output. A part that was made before is replaced. */
export async function writePart(
  inputs: Inputs,
  pool: MergePool,
  part: Part,
  out: string,
  options: RunOptions,
): Promise<void> {
  const folder = partFolder(out, part);
  const inputFiles = filesOf(inputs);
  const staged = stageOutput(folder, { kind: "folder", overwrite: true, inputs: inputFiles });
  await publishStage(staged, { inputs: inputFiles, signal: options.signal }, async () => {
    const files = [
      { name: TENSORS_NAME, metadata: new Map<string, string>(), tensors: tensorsOfPart(tensorsInParts(inputs), part) },
    ];
    const layout = layOut({ ...inputs.plan, files }, { maxShardBytes: undefined, metadata: new Map() });
    staged.reserve(layout.reduce((sum, file) => sum + file.byteLength, 0));
    const path = staged.createFile(TENSORS_NAME);
    const placed = layout.flatMap((file) => file.tensors);
    const adapterFiles = adapterFilesOf(inputs.adapters);
    const { stats, hashes } = await fillTensors(
      pool,
      { placed, copies: [], pathOf: () => path },
      adapterFiles,
      options,
    );
    writeHeaders(layout, () => path);
    const record = encodePartRecord({ fingerprint: fingerprint(inputs, hashes), stats });
    fillFileSync(staged.createFile(RECORD_NAME), record);
  });
}

/** What parts make: of a graph, whose files are copied around it, only the constants that change. */
function tensorsInParts({ plan, model }: Inputs): readonly PlannedTensor[] {
  const tensors = tensorsOf(plan);
  if (model.graph === undefined) return tensors;
  return tensors.filter(({ action }) => action !== "copy" && action !== "remove");
}

/** The tensors of one part: neighbours, chosen so that every part writes about as many bytes. */
export function tensorsOfPart(tensors: readonly PlannedTensor[], { index, count }: Part): PlannedTensor[] {
  const total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0) || 1;
  let before = 0;
  return tensors.filter((tensor) => {
    // The middle of the tensor decides, so each belongs to exactly one part.
    const middle = before + tensorBytes(tensor) / 2;
    before += tensorBytes(tensor);
    return Math.min(count, Math.floor((middle / total) * count) + 1) === index;
  });
}

/**
 * All parts of an output, as a plan that only copies, and the statistics of each tensor.
 *
 * @throws {MismatchError} PARTS_MISMATCH when parts are missing or belong to another merge
 */
export async function openParts(
  inputs: Inputs,
  pool: MergePool,
  out: string,
  options: RunOptions,
): Promise<{ plan: MergePlan; stats: Map<string, TensorStats> }> {
  const adapterFiles = adapterFilesOf(inputs.adapters);
  const expected = fingerprint(inputs, await hashFiles(pool, adapterFiles, options));
  const problems: string[] = [];
  const tensors = new Map<string, TensorData>();
  const stats = new Map<string, TensorStats>();
  for (const part of allParts(out)) {
    const folder = partFolder(out, part);
    if (!existsSync(folder)) {
      problems.push(`part ${part.index} of ${part.count} is missing`);
      continue;
    }
    const record = readPartRecord(join(folder, RECORD_NAME));
    if (record.fingerprint !== expected) {
      problems.push(`part ${part.index} of ${part.count} was made from other inputs`);
    }
    for (const [name, tensorStats] of record.stats) stats.set(name, tensorStats);
    for (const tensor of openSafetensors(join(folder, TENSORS_NAME)).tensors.values()) tensors.set(tensor.name, tensor);
  }
  const inParts = new Set(tensorsInParts(inputs));
  const copied = (tensor: PlannedTensor): PlannedTensor => {
    if (!inParts.has(tensor)) return tensor;
    const source = tensors.get(tensor.name);
    if (source === undefined) problems.push(`${quote(tensor.name)} is in no part`);
    else if (source.dtype !== tensor.dtype || !sameShape(source.shape, tensor.shape)) {
      problems.push(`${quote(tensor.name)} has another dtype or shape in its part`);
    }
    return { ...tensor, source: source ?? tensor.source, steps: [] };
  };
  const files = inputs.plan.files.map((file) => ({ ...file, tensors: file.tensors.map(copied) }));
  if (problems.length > 0) {
    throw new MismatchError("PARTS_MISMATCH", "the parts do not make up this merge", problems, {
      file: partsFolder(out),
      hint: "run each --part i/n with the same inputs and flags, then --finish",
    });
  }
  return { plan: { ...inputs.plan, files }, stats };
}

export function removeParts(out: string): void {
  try {
    rmSync(partsFolder(out), { recursive: true, force: true });
  } catch (error) {
    throw toFileError(error, partsFolder(out));
  }
}

function partsFolder(out: string): string {
  return `${resolve(out)}.parts`;
}

function partFolder(out: string, { index, count }: Part): string {
  return join(partsFolder(out), `part-${numberOf(index, count)}`);
}

/** Every part that must exist, judged by the ones that do. */
function allParts(out: string): Part[] {
  const names = existsSync(partsFolder(out)) ? listFolder(partsFolder(out)) : [];
  const counts = new Set(names.flatMap((name) => /^part-\d{5}-of-(\d{5})$/.exec(name)?.[1] ?? []));
  const count = Number([...counts][0]);
  if (counts.size === 1) return Array.from({ length: count }, (_, index) => ({ index: index + 1, count }));
  const found = counts.size === 0 ? "none" : `parts of ${[...counts].map(Number).join(" and of ")}`;
  throw new MismatchError("PARTS_MISMATCH", `expected the parts of one run, got ${found}`, [], {
    file: partsFolder(out),
    hint: "run each --part i/n first; remove the folder to start over",
  });
}

/** A hash of everything that decides the output's numbers; parts with another one belong to another merge. */
function fingerprint({ plan, adapters, model }: Inputs, hashes: ReadonlyMap<string, string>): string {
  const digest = createHash("sha256").update(`${VERSION}\n`);
  for (const { adapter } of adapters) for (const { path } of adapter.files) digest.update(`${hashes.get(path)}\n`);
  // The base is too large to be hashed by every part: sizes and the start of each tensor must do to tell two apart.
  for (const { size } of model.store.files) digest.update(`${size}\n`);
  for (const { name, action, dtype, shape, source, steps } of tensorsOf(plan)) {
    // Paths differ between machines; everything else about a step decides the numbers.
    const text = JSON.stringify([name, action, dtype, shape, steps], (key, value) => (key === "source" ? 0 : value));
    const sample = new Uint8Array(Math.min(SAMPLE_BYTES, source.byteLength));
    readTensorRangeSync(source, 0, sample);
    digest.update(`${text}\n`).update(sample);
  }
  return digest.digest("hex");
}
