/**
 * Decompositions of the experts of one module → factors of one rank: chosen, rounded, written and measured.
 */

import type { Kernels } from "../../core/cast/kernels.ts";
import { type FloatDtype, floatBytes } from "../../core/dtype.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { dot } from "../../core/linear-algebra/products.ts";
import type { Gemm } from "../../engine/gemm.ts";
import { chooseRank } from "./choose-rank.ts";
import type { FactorJob, FactorResult } from "./factor-job.ts";
import type { FactorPair, LowRankSvd } from "./product-svd.ts";
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
  const up = new Uint8Array(outputs * columns * floatBytes(dtypes.up));
  for (const [expert, { cut }] of decompositions.entries()) {
    tools.checkpoint();
    const { left, right } = await cut(rank);
    const [ownUp, ownDown] = [
      narrow(job, left, dtypes.up, tools.kernels),
      narrow(job, right, dtypes.down, tools.kernels),
    ];
    interleave(ownUp.bytes, up, { expert, experts, rank, width: floatBytes(dtypes.up) });
    write(ownDown.bytes, up.length + expert * rank * inputs * floatBytes(dtypes.down));
    const errors = { left: ownUp.errors, right: ownDown.errors };
    result.rounded += await roundingSize({ left, right }, errors, { outputs, inputs, rank }, tools.gemm);
  }
  write(up, 0);
  return result;
}

/** Column j of an expert's [outputs, rank] becomes column j · experts + expert. */
function interleave(
  own: Uint8Array,
  all: Uint8Array,
  {
    expert,
    experts,
    rank,
    width,
  }: { readonly expert: number; readonly experts: number; readonly rank: number; readonly width: number },
): void {
  if (experts === 1) {
    all.set(own);
    return;
  }
  for (let at = 0; at < own.length; at += width) {
    const [row, column] = [Math.floor(at / width / rank), (at / width) % rank];
    all.set(own.subarray(at, at + width), ((row * rank + column) * experts + expert) * width);
  }
}

/** ‖left · right − (left − e) · (right − f)‖² without the square of the errors: ‖e · right‖² + ‖left · f‖² + 2 ⟨e · right, left · f⟩. */
async function roundingSize(
  { left, right }: FactorPair,
  { left: e, right: f }: FactorPair,
  { outputs, inputs, rank }: { readonly outputs: number; readonly inputs: number; readonly rank: number },
  gemm: Gemm,
): Promise<number> {
  const turned = async (a: Float64Array, b: Float64Array) => {
    const target = new Float64Array(rank * rank);
    await gemm.multiply({ m: rank, n: rank, k: outputs, left: a, right: b, target, turnLeft: true });
    return target;
  };
  const across = async (a: Float64Array, b: Float64Array) => {
    const target = new Float64Array(rank * rank);
    await gemm.multiply({ m: rank, n: rank, k: inputs, left: a, right: b, target, turnRight: true });
    return target;
  };
  // Traces of products of small matrices; all but the last are symmetric.
  const ofUp = dot(await turned(e, e), await across(right, right));
  const ofDown = dot(await turned(left, left), await across(f, f));
  const both = dot(await turned(left, e), await across(f, right));
  return Math.max(0, ofUp + ofDown + 2 * both);
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
