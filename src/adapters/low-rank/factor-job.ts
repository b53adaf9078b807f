/**
 * Work that ends in the factors of one module, as jobs for worker threads: plain data, each writing its own range of a
 * scratch file.
 *
 * What a job writes: up [outputs, rank · experts], rank-major, and behind it down [experts · rank, inputs]; one expert where
 * nothing is stacked.
 */

import { type FloatDtype, floatBytes } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { RankTarget } from "./choose-rank.ts";

export interface FactorDtypes {
  readonly up: FloatDtype;
  readonly down: FloatDtype;
}

export interface ScratchPlace {
  readonly path: string;
  /** In bytes; room for the highest rank. */
  readonly offset: number;
}

export interface FactorJob {
  readonly kind: string;
  /** Module and parameter, for progress and errors. */
  readonly name: string;
  /** File that errors name. */
  readonly file: string;
  readonly experts: number;
  readonly outputs: number;
  /** Kernels counted. */
  readonly inputs: number;
  readonly target: RankTarget;
  readonly dtypes: FactorDtypes;
  /** `undefined`: only measure. */
  readonly place: ScratchPlace | undefined;
}

/** All sizes are sums of squares of elements, over all experts, of what the factors stand for without their scale. */
export interface FactorResult {
  /** Of every expert. */
  readonly rank: number;
  /** Of what was to be approximated. */
  readonly size: number;
  /** Of what the lower rank leaves out. */
  readonly lost: number;
  /** Of what rounding to the dtypes changes. */
  readonly rounded: number;
}

type Size = Pick<FactorJob, "experts" | "outputs" | "inputs" | "dtypes">;

/** Bytes of both factors. */
export function factorBytes({ experts, outputs, inputs, dtypes }: Size, rank: number): number {
  return rank * experts * (outputs * floatBytes(dtypes.up) + inputs * floatBytes(dtypes.down));
}

/** The tensors that a job has written. */
export function factorTensors(
  { name, experts, outputs, inputs, dtypes }: Size & Pick<FactorJob, "name">,
  { path, offset }: ScratchPlace,
  rank: number,
  inputShape: Shape,
): { readonly up: TensorData; readonly down: TensorData } {
  const columns = rank * experts;
  const upBytes = outputs * columns * floatBytes(dtypes.up);
  const ones = inputShape.slice(1).map(() => 1);
  return {
    up: {
      name: `${name}.up`,
      dtype: dtypes.up,
      shape: [outputs, columns, ...ones],
      byteLength: upBytes,
      source: { kind: "file", path, offset },
    },
    down: {
      name: `${name}.down`,
      dtype: dtypes.down,
      shape: [columns, ...inputShape],
      byteLength: columns * inputs * floatBytes(dtypes.down),
      source: { kind: "file", path, offset: offset + upBytes },
    },
  };
}
