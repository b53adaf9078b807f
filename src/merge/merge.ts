/**
 * `merge`: base + adapters → inference-ready weights, in three steps: plan (headers only), execute (streamed), publish.
 */

import { basename } from "node:path";
import { MismatchError, UsageError } from "../core/errors.ts";
import type { PoolOptions } from "../engine/worker-pool.ts";
import { assertUnchanged } from "../formats/byte-source.ts";
import type { Model } from "../formats/model.ts";
import { stageOutput } from "../formats/output.ts";
import { openSafetensors } from "../formats/safetensors/reader.ts";
import { fillTensors, hashFiles, type MergePool, openPool } from "./execute.ts";
import { filesOf, type InputOptions, type Inputs, openInputs } from "./inputs.ts";
import { layOut, type OutputFile } from "./output-layout.ts";
import { openParts, type Part, removeParts, writePart } from "./parts.ts";
import { tensorsOf } from "./plan.ts";
import { PENDING_SHA256, PROVENANCE_KEY, provenance } from "./provenance.ts";
import { countActions, type MergeReport, type MergeResult, planRows, summariseAdapter, sumStats } from "./report.ts";
import type { TensorStats } from "./tensor-executor.ts";
import { describeFailures, type VerifyReport, verifyTensors } from "./verify.ts";
import { writeHeaders, writeSmallFiles } from "./write-model.ts";

export interface MergeOptions extends InputOptions, PoolOptions {
  /** A folder, or one `.safetensors` file for a base that is one file. */
  readonly out: string;
  /** Bytes of tensor data in one weights file; default: the base's own files. */
  readonly maxShardSize?: number | undefined;
  /** Make only this part; `finish` joins the parts. */
  readonly part?: Part | undefined;
  /** Join what one run for each `part` has made into the output. */
  readonly finish?: boolean | undefined;
  /** Recompute the output from the files after writing it, and fail on a difference. */
  readonly verify?: boolean | undefined;
  /** Let a merge that changes no element pass. */
  readonly allowUnchanged?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
}

/**
 * Merges adapters into a base: W' = W + Σ weight · scale · up · down, summed in f32 and rounded once.
 *
 * @throws {MismatchError} ADAPTER_MISMATCH with every misfit, NOTHING_CHANGED, VERIFICATION_FAILED
 * @throws {NonFiniteError} naming the tensor whose result is not finite
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function merge(options: MergeOptions): Promise<MergeReport> {
  const started = performance.now();
  assertOptions(options);
  const inputs = await openInputs(options);
  const report: MergeReport = {
    out: options.out,
    adapters: inputs.adapters.map(summariseAdapter),
    tensors: countActions(inputs.plan),
    untied: inputs.plan.unties,
    warnings: inputs.warnings,
  };
  if (options.dryRun) return { ...report, plan: planRows(inputs.plan) };
  const pool = openPool(inputs.plan, options);
  try {
    if (options.part !== undefined) {
      await writePart(inputs, pool, options.part, options.out, options);
      return report;
    }
    const { result, verification } = await writeModel(inputs, pool, options);
    const seconds = (performance.now() - started) / 1000;
    return { ...report, result: { ...result, seconds }, ...(verification && { verification }) };
  } finally {
    await pool.close();
  }
}

function assertOptions({ part, finish, maxShardSize = 1 }: MergeOptions): void {
  if (part !== undefined && finish) throw new UsageError("part and finish exclude each other");
  if (part !== undefined && (!isCount(part.index) || !isCount(part.count) || part.index > part.count)) {
    throw new UsageError(`expected part i of n with 1 ≤ i ≤ n, got ${part.index} of ${part.count}`);
  }
  if (!isCount(maxShardSize)) throw new UsageError(`expected maxShardSize in whole bytes, got ${maxShardSize}`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

type Written = Pick<MergeReport, "verification"> & { readonly result: Omit<MergeResult, "seconds"> };

/** Everything from the staging folder to the rename. */
async function writeModel(inputs: Inputs, pool: MergePool, options: MergeOptions): Promise<Written> {
  const { model, adapters } = inputs;
  const kind = outputKind(model, options.out);
  const parts = options.finish ? await openParts(inputs, pool, options.out, options) : undefined;
  const plan = parts?.plan ?? inputs.plan;
  const inputFiles = filesOf(inputs);
  const staged = stageOutput(options.out, { kind, overwrite: options.overwrite ?? false, inputs: inputFiles });
  const layOutWith = (sha256: (path: string) => string) =>
    layOut(plan, {
      fileName: model.kind === "folder" ? undefined : kind === "file" ? basename(options.out) : "model.safetensors",
      maxShardBytes: options.maxShardSize,
      metadata: new Map([[PROVENANCE_KEY, provenance(model, adapters, inputs.method, sha256)]]),
    });
  try {
    // Hashes come last; until then zeros of the same length keep every offset where it will be.
    const draft = layOutWith(() => PENDING_SHA256);
    staged.reserve(totalBytes(draft));
    const paths = new Map(draft.map((file) => [file.name, staged.createFile(file.name)]));
    const pathOf = (file: string) => paths.get(file) ?? "";
    const placed = draft.flatMap((file) => file.tensors);
    const executed = await fillTensors(pool, placed, pathOf, inputFiles, options);
    const stats = sumStats(inputs.plan, parts?.stats ?? executed.stats);
    assertChanged(stats, inputs, options);

    const files = layOutWith((path) => executed.hashes.get(path) ?? PENDING_SHA256);
    writeHeaders(files, pathOf);
    if (kind === "folder") writeSmallFiles(staged, model, plan, files, options.dtype ?? "keep");
    const written = files.map(({ name, byteLength }) => ({ path: pathOf(name), size: byteLength }));
    // The disk writes while the processor hashes.
    const [hashes] = await Promise.all([hashFiles(pool, written, options), staged.flush()]);
    const verification = options.verify ? await verifyStaged(inputs, written, pool, options) : undefined;
    for (const file of inputFiles) assertUnchanged(file);
    await staged.publish(options.signal);
    if (parts !== undefined) removeParts(options.out);
    const sums = files.map(({ name }) => ({ name, sha256: hashes.get(pathOf(name)) ?? "" }));
    return { result: { ...stats, bytes: totalBytes(files), files: sums }, ...(verification && { verification }) };
  } catch (error) {
    staged.discard();
    throw error;
  }
}

/** A folder stays a folder; a file becomes a file, or a folder with one weights file. */
function outputKind(model: Model, out: string): "folder" | "file" {
  if (!out.endsWith(".safetensors")) return "folder";
  if (model.kind === "file") return "file";
  throw new UsageError("the base is a folder, so the output must be one", { subject: out });
}

function totalBytes(files: readonly OutputFile[]): number {
  return files.reduce((sum, file) => sum + file.byteLength, 0);
}

function assertChanged(stats: TensorStats, { plan }: Inputs, options: MergeOptions): void {
  const replaced = tensorsOf(plan).some(({ action }) => action === "replace" || action === "new");
  if (stats.changed > 0 || replaced || options.allowUnchanged) return;
  const lost =
    stats.lost === 0
      ? "the deltas are zero, or too small to count beside the weights"
      : `${stats.lost} deltas vanish in the rounding`;
  throw new MismatchError("NOTHING_CHANGED", `the merge changes no element: ${lost}`, [], {
    file: options.out,
    hint: "check the adapter's scale with lora-tool inspect, or pass --allow-unchanged",
  });
}

async function verifyStaged(
  { plan }: Inputs,
  written: readonly { readonly path: string }[],
  pool: MergePool,
  options: MergeOptions,
): Promise<VerifyReport> {
  const stores = written.map(({ path }) => openSafetensors(path));
  const tensors = new Map(stores.flatMap((store) => [...store.tensors]));
  const report = await verifyTensors(tensorsOf(plan), tensors, pool, options);
  if (report.passed) return report;
  throw new MismatchError("VERIFICATION_FAILED", "the merged weights are not base + deltas", describeFailures(report), {
    file: options.out,
    hint: "nothing was written; this should not happen: please report it",
  });
}
