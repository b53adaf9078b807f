/**
 * Runs one cut job: factors → f64 → singular value decomposition → the factors of the lower rank, rounded and measured.
 */

import type { Kernels } from "../../core/cast/kernels.ts";
import { type FloatDtype, floatBytes } from "../../core/dtype.ts";
import { NonFiniteError } from "../../core/errors.ts";
import type { Gemm } from "../../engine/gemm.ts";
import type { MatrixLoader } from "../load-matrix.ts";
import { type MatrixView, transpose } from "../matrix.ts";
import { chooseRank, squareSum } from "./choose-rank.ts";
import type { CutJob, CutResult, WeightedProduct } from "./cut-job.ts";
import { type ProductSvd, productSvd } from "./product-svd.ts";

export interface CutTools {
  readonly gemm: Gemm;
  readonly kernels: Kernels;
  readonly loader: MatrixLoader;
  /** Called between the steps of a job; may throw to end it. */
  readonly checkpoint: () => void;
}

/** Takes bytes at an offset from the start of what the job writes. */
export type WriteBytes = (bytes: Uint8Array, offset: number) => void;

/**
 * @param write `undefined`: only measure
 * @throws {NonFiniteError} naming the module whose factors hold NaN or infinity, or that overflows its dtype
 */
export async function runCut(job: CutJob, tools: CutTools, write: WriteBytes | undefined): Promise<CutResult> {
  const { sums, outputs, inputs, target, dtypes } = job;
  const decompositions: ProductSvd[] = [];
  for (const sum of sums) decompositions.push(await decompose(job, sum, tools));
  const rank = decompositions.reduce((most, { values }) => Math.max(most, chooseRank(values, target)), 1);
  const result = { rank, size: 0, lost: 0, rounded: 0 };
  for (const { values } of decompositions) {
    result.size += squareSum(values);
    result.lost += squareSum(values, rank);
  }
  if (write === undefined) return result;

  const columns = rank * sums.length;
  const up = new Float64Array(outputs * columns);
  const downOffset = outputs * columns * floatBytes(dtypes.up);
  for (const [expert, { values, cut }] of decompositions.entries()) {
    tools.checkpoint();
    const { left, right } = await cut(rank);
    for (let row = 0; row < outputs; row++) {
      for (let index = 0; index < rank; index++) {
        up[row * columns + index * sums.length + expert] = left[row * rank + index] ?? 0;
      }
    }
    const down = narrow(job, right, dtypes.down, tools.kernels);
    write(down.bytes, downOffset + expert * rank * inputs * floatBytes(dtypes.down));
    // ‖up · error‖²: the columns of `up` are orthogonal, of squared length `values`.
    for (let index = 0; index < right.length; index++) {
      result.rounded += (values[Math.floor(index / inputs)] ?? 0) * (down.errors[index] ?? 0) ** 2;
    }
  }
  const written = narrow(job, up, dtypes.up, tools.kernels);
  write(written.bytes, 0);
  for (let index = 0; index < up.length; index++) {
    const column = index % columns;
    const values = decompositions[column % sums.length]?.values;
    result.rounded += (values?.[Math.floor(column / sums.length)] ?? 0) * (written.errors[index] ?? 0) ** 2;
  }
  return result;
}

/** Σ weight · up · diag · down as one product: the factors side by side. */
async function decompose(
  job: CutJob,
  sum: readonly WeightedProduct[],
  { gemm, loader }: CutTools,
): Promise<ProductSvd> {
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

/** Rounded to f32 and, where the dtype is narrower, once more: singular vectors have no bits that must stay. */
function narrow(
  job: CutJob,
  values: Float64Array,
  dtype: FloatDtype,
  kernels: Kernels,
): { readonly bytes: Uint8Array; readonly errors: Float64Array } {
  const single = Float32Array.from(values);
  const bytes = new Uint8Array(values.length * floatBytes(dtype));
  kernels.narrow(dtype, single, bytes);
  kernels.widen(dtype, bytes, single);
  const errors = values.map((value, index) => value - (single[index] ?? 0));
  if (errors.every(Number.isFinite)) return { bytes, errors };
  throw new NonFiniteError(`the factors are too large for ${dtype}`, {
    file: job.file,
    subject: job.name,
    hint: "choose --dtype f32",
  });
}
