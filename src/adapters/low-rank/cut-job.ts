/**
 * The work of cutting sums of products to a lower rank, as jobs for worker threads: plain data, each writing its own range
 * of a scratch file.
 *
 * A job holds one sum for each stacked expert, or one. What it writes: up [outputs, rank · experts], rank-major, and behind
 * it down [experts · rank, inputs].
 */

import { DTYPE_BITS, type FloatDtype } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { RankTarget } from "./choose-rank.ts";
import type { ProductFactors } from "./module-factors.ts";

export interface WeightedProduct extends ProductFactors {
  readonly weight: number;
}

export interface FactorDtypes {
  readonly up: FloatDtype;
  readonly down: FloatDtype;
}

export interface CutJob {
  readonly kind: "cut";
  /** Module and parameter, for progress and errors. */
  readonly name: string;
  /** File that errors name. */
  readonly file: string;
  /** Σ weight · up · diag(diagonal) · down, one sum for each expert. */
  readonly sums: readonly (readonly WeightedProduct[])[];
  readonly outputs: number;
  readonly inputs: number;
  readonly target: RankTarget;
  readonly dtypes: FactorDtypes;
  /** `undefined`: only measure. */
  readonly place: ScratchPlace | undefined;
}

export interface ScratchPlace {
  readonly path: string;
  /** In bytes; room for the highest rank that the target allows. */
  readonly offset: number;
}

/** All sizes are sums of squares of elements, over all experts, of the sum without the module's scale. */
export interface CutResult {
  /** Of every expert. */
  readonly rank: number;
  /** Of what was to be approximated. */
  readonly size: number;
  /** Of what the lower rank leaves out. */
  readonly lost: number;
  /** Of what rounding to the dtypes changes. */
  readonly rounded: number;
}

export interface CutAnswers {
  readonly cut: CutResult;
}

/** The highest rank that the target allows for the job. */
export function highestRank({ sums, outputs, inputs, target }: Omit<CutJob, "place" | "kind">): number {
  const inner = sums.reduce(
    (most, sum) =>
      Math.max(
        most,
        sum.reduce((total, { up }) => total + up.columns, 0),
      ),
    1,
  );
  return Math.min(target.rank ?? inner, Math.max(1, Math.min(inner, outputs, inputs)));
}

/** Bytes that a job of the rank writes. */
export function cutBytes({ sums, outputs, inputs, dtypes }: Omit<CutJob, "place" | "kind">, rank: number): number {
  const elements = (size: number, dtype: FloatDtype) => (size * rank * sums.length * DTYPE_BITS[dtype]) / 8;
  return elements(outputs, dtypes.up) + elements(inputs, dtypes.down);
}

/** The tensors that a job has written. */
export function cutTensors(
  { name, sums, outputs, inputs, dtypes }: CutJob,
  place: ScratchPlace,
  rank: number,
  inputShape: Shape,
): { readonly up: TensorData; readonly down: TensorData } {
  const columns = rank * sums.length;
  const tensor = (label: string, dtype: FloatDtype, shape: Shape, elements: number, offset: number): TensorData => ({
    name: `${name}.${label}`,
    dtype,
    shape,
    byteLength: (elements * DTYPE_BITS[dtype]) / 8,
    source: { kind: "file", path: place.path, offset },
  });
  const ones = inputShape.slice(1).map(() => 1);
  const up = tensor("up", dtypes.up, [outputs, columns, ...ones], outputs * columns, place.offset);
  const down = tensor("down", dtypes.down, [columns, ...inputShape], columns * inputs, place.offset + up.byteLength);
  return { up, down };
}
