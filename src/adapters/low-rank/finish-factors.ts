/**
 * Decompositions of the experts of one module → factors of one rank: chosen, rounded, written and measured.
 */

import type { Kernels } from "../../core/cast/kernels.ts";
import { type FloatDtype, floatBytes } from "../../core/dtype.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { chooseRank } from "./choose-rank.ts";
import type { FactorJob, FactorResult } from "./factor-job.ts";
import type { LowRankSvd } from "./product-svd.ts";
import type { FactorTools, WriteBytes } from "./serve-factor-jobs.ts";

/**
 * @param write `undefined`: only measure
 * @throws {NonFiniteError} naming the module that overflows its dtype
 */
export async function finishFactors(
  job: FactorJob,
  decompositions: readonly LowRankSvd[],
  tools: FactorTools,
  write: WriteBytes | undefined,
): Promise<FactorResult> {
  const { experts, outputs, inputs, target, dtypes } = job;
  const rank = decompositions.reduce((most, one) => Math.max(most, chooseRank(one.values, target, one.size)), 1);
  const result = { rank, size: 0, lost: 0, rounded: 0 };
  for (const { size, lost } of decompositions) {
    result.size += size;
    result.lost += lost(rank);
  }
  if (write === undefined) return result;

  const columns = rank * experts;
  const up = new Float64Array(outputs * columns);
  const downOffset = outputs * columns * floatBytes(dtypes.up);
  for (const [expert, { values, cut }] of decompositions.entries()) {
    tools.checkpoint();
    const { left, right } = await cut(rank);
    for (let row = 0; row < outputs; row++) {
      for (let index = 0; index < rank; index++) {
        up[row * columns + index * experts + expert] = left[row * rank + index] ?? 0;
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
    const values = decompositions[column % experts]?.values;
    result.rounded += (values?.[Math.floor(column / experts)] ?? 0) * (written.errors[index] ?? 0) ** 2;
  }
  return result;
}

/** Rounded to f32 and, where the dtype is narrower, once more: singular vectors have no bits that must stay. */
function narrow(
  job: FactorJob,
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
