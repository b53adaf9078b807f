/**
 * Cutting sums of products to a lower rank: factors → f64 → singular value decomposition. The sums are never formed.
 */

import { NonFiniteError } from "../../core/errors.ts";
import type { MatrixLoader } from "../load-matrix.ts";
import { type MatrixView, transpose } from "../matrix.ts";
import type { FactorJob, FactorResult } from "./factor-job.ts";
import { finishFactors } from "./finish-factors.ts";
import type { ProductFactors } from "./module-factors.ts";
import { type LowRankSvd, productSvd } from "./product-svd.ts";
import { type DoneJob, runFactorJobs } from "./run-jobs.ts";
import type { FactorTools, WriteBytes } from "./serve-factor-jobs.ts";

export interface WeightedProduct extends ProductFactors {
  readonly weight: number;
}

export interface CutJob extends FactorJob {
  readonly kind: "cut";
  /** Σ weight · up · diag(diagonal) · down, one sum for each expert. */
  readonly sums: readonly (readonly WeightedProduct[])[];
}

/** Runs the jobs in threads of their own, on the processor whatever the device. */
export function cutAll(
  jobs: readonly Omit<CutJob, "place">[],
  scratch: string | undefined,
  options: Omit<Parameters<typeof runFactorJobs>[1], "device">,
): Promise<readonly DoneJob<CutJob>[]> {
  const module = new URL("./cut-worker.js", import.meta.url);
  return runFactorJobs({ jobs, module, settings: {}, scratch }, { ...options, device: "cpu" });
}

/** @throws {NonFiniteError} naming the module whose factors hold NaN or infinity */
export async function runCut(job: CutJob, tools: FactorTools, write: WriteBytes | undefined): Promise<FactorResult> {
  const decompositions: LowRankSvd[] = [];
  for (const sum of job.sums) decompositions.push(await decompose(job, sum, tools));
  return finishFactors(job, decompositions, tools, write);
}

/** Σ weight · up · diag · down as one product: the factors side by side. */
async function decompose(job: CutJob, sum: readonly WeightedProduct[], tools: FactorTools): Promise<LowRankSvd> {
  const { gemm, loader, checkpoint } = tools;
  checkpoint();
  const inner = sum.reduce((total, { up }) => total + up.columns, 0);
  const { outputs: rows, inputs: columns } = job;
  const left = new Float64Array(rows * inner);
  const rightTurned = new Float64Array(columns * inner);
  let at = 0;
  for (const { up, down, diagonal, weight } of sum) {
    const factors = diagonal?.map((value) => value * weight) ?? new Float64Array(up.columns).fill(weight);
    await loader.pool.scope(async () => {
      put(job, loader, up, left, inner, at, factors);
      put(job, loader, transpose(down), rightTurned, inner, at, undefined);
    });
    at += up.columns;
  }
  return productSvd(gemm, left, rightTurned, { rows, inner, columns });
}

/** A view into columns `at` … of a matrix with `width` columns, each times its factor. */
function put(
  job: CutJob,
  loader: MatrixLoader,
  view: MatrixView,
  target: Float64Array,
  width: number,
  at: number,
  factors: Float64Array | undefined,
): void {
  const values = loader.matrix(view);
  let nonFinite = 0;
  for (let row = 0; row < view.rows; row++) {
    for (let column = 0; column < view.columns; column++) {
      const value = (factors?.[column] ?? 1) * (values[row * view.columns + column] ?? 0);
      if (!Number.isFinite(value)) nonFinite++;
      target[row * width + at + column] = value;
    }
  }
  if (nonFinite === 0) return;
  throw new NonFiniteError(`${nonFinite} of ${values.length} elements of a factor are not finite`, {
    file: job.file,
    subject: job.name,
    hint: "no decomposition is defined for NaN and infinity",
  });
}
