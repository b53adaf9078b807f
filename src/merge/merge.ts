/**
 * `merge`: base + adapters → inference-ready weights, in three steps: plan (headers only), execute (streamed), publish.
 */

import { byteSize } from "../core/byte-size.ts";
import { MismatchError, UsageError } from "../core/errors.ts";
import { assertOptionKinds, type OptionKinds } from "../core/option-kinds.ts";
import { assertPart, type Part } from "../core/part.ts";
import { POOL_OPTION_KINDS, type PoolOptions } from "../engine/worker-pool.ts";
import { publishStage } from "../formats/publish-stage.ts";
import { fillTensors, hashFiles, type MergePool, openPool } from "./execute.ts";
import { filesOf, INPUT_OPTION_KINDS, type InputOptions, type Inputs, openInputs } from "./inputs.ts";
import { assertGraphOutput, stageOnnx } from "./onnx-output.ts";
import type { MergeOutput } from "./output.ts";
import { openParts, removeParts, writePart } from "./parts.ts";
import { type Action, tensorsOf } from "./plan.ts";
import { PENDING_SHA256, provenance } from "./provenance.ts";
import { countActions, type MergeReport, type MergeResult, planRows, summariseAdapter, sumStats } from "./report.ts";
import { stageSafetensors } from "./safetensors-output.ts";
import type { TensorStats } from "./tensor-executor.ts";
import { describeFailures, type Verification, verifyTensors } from "./verify.ts";

export interface MergeOptions extends InputOptions, PoolOptions {
  /** A folder, or one `.safetensors` file for a base that is one file; an `.onnx` file for a graph. */
  readonly out: string;
  /** Tensor data in one weights file, in bytes or as `5GB`; default: the base's own files. */
  readonly maxShardSize?: number | string | undefined;
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
 * @throws {UsageError} naming the option that is unknown or wrong
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
  if (inputs.model.graph !== undefined) assertGraphOutput(options);
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

const OPTION_KINDS: OptionKinds<MergeOptions> = {
  ...INPUT_OPTION_KINDS,
  ...POOL_OPTION_KINDS,
  out: "required a text",
  maxShardSize: "a number or a text",
  part: "numbers by name",
  finish: "true or false",
  verify: "true or false",
  allowUnchanged: "true or false",
  overwrite: "true or false",
  dryRun: "true or false",
};

function assertOptions(options: MergeOptions): void {
  assertOptionKinds("merge", options, OPTION_KINDS);
  const { part, finish, maxShardSize = 1 } = options;
  if (part !== undefined && finish) throw new UsageError("part and finish exclude each other");
  if (part !== undefined) assertPart(part);
  if (byteSize(String(maxShardSize)) === undefined)
    throw new UsageError(`expected maxShardSize in bytes or as a size such as 5GB, got ${maxShardSize}`);
}

type Written = Pick<MergeReport, "verification"> & { readonly result: Omit<MergeResult, "seconds"> };

/** Everything from the staging folder to the rename. */
async function writeModel(inputs: Inputs, pool: MergePool, options: MergeOptions): Promise<Written> {
  const { model, adapters } = inputs;
  const parts = options.finish ? await openParts(inputs, pool, options.out, options) : undefined;
  const plan = parts?.plan ?? inputs.plan;
  const inputFiles = filesOf(inputs);
  const textWith = (sha256: (path: string) => string) => provenance(model, adapters, inputs.method, sha256);
  const output =
    model.graph === undefined
      ? stageSafetensors(inputs, plan, textWith, options)
      : stageOnnx(inputs, model.graph, plan, textWith, options);
  const written = await publishStage(output, { inputs: inputFiles, signal: options.signal }, async () => {
    const executed = await fillTensors(pool, output, inputFiles, options);
    const stats = sumStats(inputs.plan, parts?.stats ?? executed.stats);
    assertChanged(stats, inputs, options);
    output.complete((path) => executed.hashes.get(path) ?? PENDING_SHA256);
    const weights = output.files.map(({ name, byteLength }) => ({ path: output.pathOf(name), size: byteLength }));
    // The disk writes while the processor hashes.
    const [hashes] = await Promise.all([hashFiles(pool, weights, options), output.flush()]);
    const verification = options.verify ? await verifyStaged(inputs, output, pool, options) : undefined;
    const files = output.files.map(({ name }) => ({ name, sha256: hashes.get(output.pathOf(name)) ?? "" }));
    const bytes = output.files.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return { result: { ...stats, bytes, files }, ...(verification && { verification }) };
  });
  if (parts !== undefined) removeParts(options.out);
  return written;
}

/** What makes another model even where no number changes. */
const ALWAYS_CHANGES: ReadonlySet<Action> = new Set(["replace", "new", "remove"]);

function assertChanged(stats: TensorStats, { plan }: Inputs, options: MergeOptions): void {
  const replaced = tensorsOf(plan).some(({ action }) => ALWAYS_CHANGES.has(action));
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
  output: MergeOutput,
  pool: MergePool,
  options: MergeOptions,
): Promise<Verification> {
  const report = await verifyTensors(tensorsOf(plan), output.readBack(), pool, options);
  if (report.passed) return report;
  throw new MismatchError("VERIFICATION_FAILED", "the merged weights are not base + deltas", describeFailures(report), {
    file: options.out,
    hint: "nothing was written; this should not happen: please report it",
  });
}
