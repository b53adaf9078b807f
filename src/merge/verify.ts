/**
 * `verify`: is this model base + Σ scaled delta? Recomputed from the files, tensor by tensor, in two ways.
 *
 * Every element is recomputed as a merge would, in f32. Some rows of every edited tensor are recomputed once more in
 * double precision, without the engine, so that an error of the engine shows too.
 */

import { DTYPE_BITS, isFloatDtype, tensorBytes } from "../core/dtype.ts";
import { assertOptionKinds, type OptionKinds } from "../core/option-kinds.ts";
import type { RunOptions } from "../core/progress.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import { POOL_OPTION_KINDS, type PoolOptions } from "../engine/worker-pool.ts";
import { underOldNames } from "../formats/onnx/parameters/open.ts";
import { openModel } from "../formats/open-model.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import { type MergePool, openPool } from "./execute.ts";
import { INPUT_OPTION_KINDS, type InputOptions, openInputs } from "./inputs.ts";
import { type CompareJob, cutByRows, type VerifyJob } from "./jobs.ts";
import { type MergePlan, type PlannedTensor, tensorsOf } from "./plan.ts";
import { type AdapterSummary, type PlannedRow, planRows, summariseAdapter } from "./report.ts";
import { graphDifferences } from "./verify-graph.ts";
import type { RowsVerified } from "./verify-rows.ts";

export interface VerifyOptions extends InputOptions, PoolOptions {
  /** The model to check: anything that can be a base. */
  readonly merged: string;
  /** Compare names, shapes and dtypes only, from headers, and tell what would be recomputed. */
  readonly dryRun?: boolean | undefined;
  /** Taken as by every call; nothing is written. */
  readonly overwrite?: boolean | undefined;
}

const OPTION_KINDS: OptionKinds<VerifyOptions> = {
  ...INPUT_OPTION_KINDS,
  ...POOL_OPTION_KINDS,
  merged: "required a text",
  dryRun: "true or false",
  overwrite: "true or false",
};

type CheckJob = VerifyJob | CompareJob;

export interface VerifiedTensor extends RowsVerified {
  readonly name: string;
  readonly passed: boolean;
}

export interface Verification {
  readonly passed: boolean;
  readonly tensors: number;
  readonly elements: number;
  /** Elements whose bits differ from the recomputed ones. */
  readonly different: number;
  /** Largest distance from the recomputed elements, in ulp of the merged dtype. */
  readonly maxUlp: number;
  /** Elements compared with double precision too, and the largest distance there. */
  readonly exactElements: number;
  readonly maxExactUlp: number;
  /** At most ten tensors that differ, worst first. */
  readonly worst: readonly VerifiedTensor[];
  /** Missing tensors, wrong shapes; finished, escaped lines. */
  readonly problems: readonly string[];
}

export interface VerifyReport extends Verification {
  readonly adapters: readonly AdapterSummary[];
  readonly warnings: readonly string[];
  /** Under `dryRun`: what each tensor is expected to be. Nothing was recomputed, `passed` is about headers alone. */
  readonly plan?: readonly PlannedRow[];
}

/** Opens everything anew and checks the merged model; `passed` tells the verdict, nothing is thrown for a difference. */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  assertOptionKinds("verify", options, OPTION_KINDS);
  const inputs = await openInputs(options);
  const { plan, model, folding, warnings } = inputs;
  const { store, graph } = await openModel(options.merged);
  const graphs = model.graph !== undefined && graph !== undefined ? { base: model.graph, merged: graph } : undefined;
  const tensors = graphs === undefined ? store.tensors : underOldNames(graphs.base, { graph: graphs.merged, store });
  const verification = await (options.dryRun ? compareHeaders : recompute)(plan, tensors, options);
  const between =
    graphs === undefined ? [] : graphDifferences(graphs.base.model, graphs.merged.model, folding?.removal);
  return {
    ...verification,
    passed: verification.passed && between.length === 0,
    problems: [...verification.problems, ...between],
    adapters: inputs.adapters.map(summariseAdapter),
    warnings,
    ...(options.dryRun && { plan: planRows(plan) }),
  };
}

type MergedTensors = ReadonlyMap<string, TensorData>;

function compareHeaders(plan: MergePlan, merged: MergedTensors): Verification {
  return summarise([], planChecks(tensorsOf(plan), merged).problems);
}

async function recompute(plan: MergePlan, merged: MergedTensors, options: VerifyOptions): Promise<Verification> {
  const pool = openPool(plan, options);
  return verifyTensors(tensorsOf(plan), merged, pool, options).finally(() => pool.close());
}

/** Compares the tensors of a plan with those that were written. */
export async function verifyTensors(
  tensors: readonly PlannedTensor[],
  merged: MergedTensors,
  pool: MergePool,
  options: RunOptions,
): Promise<Verification> {
  const { staying, jobs, problems } = planChecks(tensors, merged);
  const results = new Map<string, VerifiedTensor>();
  const total = staying.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  let done = 0;
  await pool.run(jobs, ({ kind, job, result }) => {
    if (kind !== "verify" && kind !== "compare") return;
    done += (result.elements * DTYPE_BITS[job.merged.dtype]) / 8;
    options.onProgress?.({ phase: "verify", done, total, unit: "bytes", subject: job.name });
    // What nothing was added to was copied or rounded once, and must be equal bit by bit.
    const exactly = kind === "compare" || job.steps.length === 0;
    results.set(job.name, join(job.name, results.get(job.name), result, exactly));
  });
  return summarise([...results.values()], problems);
}

/** What there is to recompute; what needs no arithmetic to be seen is a problem at once. */
function planChecks(tensors: readonly PlannedTensor[], merged: MergedTensors) {
  const problems: string[] = [];
  const staying = tensors.filter(({ action }) => action !== "remove");
  const jobs = staying.flatMap((tensor) => checkJobs(tensor, merged.get(tensor.name), problems));
  const planned = new Set(staying.map((tensor) => tensor.name));
  for (const name of merged.keys()) {
    if (!planned.has(name)) problems.push(`${quote(name)}: expected no such tensor, base and adapters give none`);
  }
  return { staying, jobs, problems };
}

/** One line for each tensor that is not as it should be. */
export function describeFailures({ problems, worst }: Verification): string[] {
  const failed = worst.filter((tensor) => !tensor.passed);
  return [
    ...problems,
    ...failed.map(({ name, different, elements, maxUlp, maxExactUlp }) => {
      const exact = maxExactUlp > 0 ? `, ${maxExactUlp.toPrecision(3)} ulp from double precision` : "";
      const distance = Number.isFinite(maxUlp) ? `by up to ${maxUlp.toPrecision(3)} ulp${exact}` : "expected none";
      return `${quote(name)}: ${different} of ${elements} elements differ, ${distance}`;
    }),
  ];
}

/** Jobs that check one tensor; a tensor that is missing or of another shape is a problem instead. */
function checkJobs(tensor: PlannedTensor, merged: TensorData | undefined, problems: string[]): CheckJob[] {
  const subject = quote(tensor.name);
  if (merged === undefined) {
    problems.push(`${subject}: the merged model lacks it`);
    return [];
  }
  if (!sameShape(merged.shape, tensor.shape)) {
    problems.push(`${subject}: expected shape ${formatShape(tensor.shape)}, got ${formatShape(merged.shape)}`);
    return [];
  }
  const copied = tensor.steps.length === 0 && merged.dtype === tensor.source.dtype;
  if (!copied && isFloatDtype(merged.dtype) && isFloatDtype(tensor.source.dtype)) {
    return cutByRows({ ...tensor, dtype: merged.dtype }).map((work) => ({ kind: "verify", ...work, merged }));
  }
  if (!copied && merged.dtype !== tensor.dtype) {
    problems.push(`${subject}: expected dtype ${tensor.dtype}, got ${merged.dtype}`);
    return [];
  }
  return [{ kind: "compare", name: tensor.name, source: tensor.source, merged }];
}

function join(name: string, sum: VerifiedTensor | undefined, part: RowsVerified, exactly: boolean): VerifiedTensor {
  const result = {
    elements: part.elements + (sum?.elements ?? 0),
    different: part.different + (sum?.different ?? 0),
    maxUlp: Math.max(part.maxUlp, sum?.maxUlp ?? 0),
    exactElements: part.exactElements + (sum?.exactElements ?? 0),
    maxExactUlp: Math.max(part.maxExactUlp, sum?.maxExactUlp ?? 0),
    allowedUlp: Math.max(part.allowedUlp, sum?.allowedUlp ?? 0),
  };
  const close = result.maxUlp <= 2 * result.allowedUlp && result.maxExactUlp <= result.allowedUlp;
  const passed = exactly ? result.different === 0 : close;
  return { name, ...result, passed };
}

function summarise(tensors: readonly VerifiedTensor[], problems: readonly string[]): Verification {
  const sum = (pick: (tensor: VerifiedTensor) => number) => tensors.reduce((total, tensor) => total + pick(tensor), 0);
  const most = (pick: (tensor: VerifiedTensor) => number) =>
    tensors.reduce((max, tensor) => Math.max(max, pick(tensor)), 0);
  const worst = tensors.filter((tensor) => tensor.different > 0 || !tensor.passed);
  worst.sort((a, b) => b.maxUlp - a.maxUlp || b.maxExactUlp - a.maxExactUlp);
  return {
    passed: problems.length === 0 && tensors.every((tensor) => tensor.passed),
    tensors: tensors.length,
    elements: sum((tensor) => tensor.elements),
    different: sum((tensor) => tensor.different),
    maxUlp: most((tensor) => tensor.maxUlp),
    exactElements: sum((tensor) => tensor.exactElements),
    maxExactUlp: most((tensor) => tensor.maxExactUlp),
    worst: worst.slice(0, 10),
    problems,
  };
}
