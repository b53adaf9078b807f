/**
 * Compares rows of a merged tensor with what they should be; runs in the worker threads.
 *
 * Distances are in ulp of the merged dtype, at the size of the numbers that were added up: where they cancel, the ulp
 * of the result says nothing about the error of the sum.
 */

import { floatDtypeOf } from "../adapters/load-matrix.ts";
import { decodeElement } from "../core/cast/float-codec.ts";
import { type FloatDtype, floatBytes } from "../core/dtype.ts";
import { readTensorRangeSync } from "../formats/byte-source.ts";
import { exactRow, isRowWise } from "./exact-row.ts";
import type { VerifyJob } from "./jobs.ts";
import type { FinishedTile, TensorExecutor } from "./tensor-executor.ts";

export interface RowsVerified {
  readonly elements: number;
  /** Elements whose bits differ from the recomputed ones. */
  readonly different: number;
  /** Largest distance from the recomputed elements, in ulp. */
  readonly maxUlp: number;
  /** Elements compared with double precision as well. */
  readonly exactElements: number;
  /** Largest distance from those, in ulp; half an ulp is the final rounding itself. */
  readonly maxExactUlp: number;
  /** What f32 sums of this length may add to that half. */
  readonly allowedUlp: number;
}

/** Significant bits (with the hidden one) and the exponent of the smallest normal number. */
const PRECISION: Record<FloatDtype, { readonly bits: number; readonly minExponent: number }> = {
  f64: { bits: 53, minExponent: -1022 },
  f32: { bits: 24, minExponent: -126 },
  f16: { bits: 11, minExponent: -14 },
  bf16: { bits: 8, minExponent: -126 },
  f8_e4m3fn: { bits: 4, minExponent: -6 },
  f8_e5m2: { bits: 3, minExponent: -14 },
};

/** Distance between neighbouring numbers of the dtype around `value`. */
export function ulpAt(dtype: FloatDtype, value: number): number {
  const { bits, minExponent } = PRECISION[dtype];
  const exponent = value === 0 ? minExponent : Math.floor(Math.log2(Math.abs(value)));
  return 2 ** (Math.max(exponent, minExponent) - bits + 1);
}

export async function verifyRows(executor: TensorExecutor, job: VerifyJob): Promise<RowsVerified> {
  const dtype = floatDtypeOf(job.merged);
  const width = floatBytes(dtype);
  const sum = { elements: 0, different: 0, maxUlp: 0, exactElements: 0, maxExactUlp: 0, allowedUlp: 1 };
  const exactRows = isRowWise(job.steps) && job.steps.length > 0 ? sampleRows(job) : new Set<number>();
  await executor.run(job, (tile) => {
    const merged = new Uint8Array(tile.bytes.byteLength);
    readTensorRangeSync(job.merged, tile.byteOffset, merged);
    sum.elements += tile.values.length;
    compareBytes(dtype, tile, merged, sum);
    for (let row = 0; row < tile.rows; row++) {
      if (!exactRows.has(tile.rowStart + row)) continue;
      const [from, to] = [row * tile.columns, (row + 1) * tile.columns];
      const exact = exactRow(tile.before.slice(from, to), tile.rowStart + row, job.steps, executor.loader);
      const own = merged.subarray(from * width, to * width);
      for (let column = 0; column < tile.columns; column++) {
        const distance = Math.abs(decodeElement(dtype, own, column * width) - (exact.values[column] ?? 0));
        sum.maxExactUlp = Math.max(sum.maxExactUlp, distance / ulpAt(dtype, exact.sizes[column] ?? 0));
      }
      sum.exactElements += tile.columns;
      // Each product and each addition in f32 may err by 2^-24 of the sum of sizes.
      const f32Errors = (2 * exact.terms + 2) * 2 ** -24;
      sum.allowedUlp = Math.max(sum.allowedUlp, 0.5 + f32Errors * 2 ** PRECISION[dtype].bits);
    }
  });
  return sum;
}

function compareBytes(
  dtype: FloatDtype,
  tile: FinishedTile,
  merged: Uint8Array,
  sum: { different: number; maxUlp: number },
): void {
  if (Buffer.compare(tile.bytes, merged) === 0) return;
  const width = floatBytes(dtype);
  for (let index = 0; index < tile.values.length; index++) {
    const expected = decodeElement(dtype, tile.bytes, index * width);
    const found = decodeElement(dtype, merged, index * width);
    if (Object.is(expected, found)) continue;
    sum.different++;
    const size = Math.max(Math.abs(expected), Math.abs(tile.before[index] ?? 0));
    const distance = Math.abs(expected - found) / ulpAt(dtype, size);
    sum.maxUlp = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(sum.maxUlp, distance);
  }
}

/** Four rows of each job, spread from first to last. */
function sampleRows({ rowStart, rowEnd }: VerifyJob): Set<number> {
  const last = rowEnd - 1 - rowStart;
  return new Set([0, 1, 2, 3].map((quarter) => rowStart + Math.round((last * quarter) / 3)));
}
