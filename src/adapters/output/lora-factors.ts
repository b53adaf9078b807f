/**
 * The factors of a LoRA module in PyTorch's order, however its layout stores them: turned ones turned back, Tucker cores
 * multiplied into `down`, the diagonal of AdaLoRA into `up`.
 */

import { UnsupportedError } from "../../core/errors.ts";
import type { Shape } from "../../core/shape.ts";
import type { AdapterModule } from "../adapter.ts";
import { type MatrixView, sliceColumns } from "../matrix.ts";
import { factorViews, inputShape } from "../resolve/factor-views.ts";
import { readNumbers } from "../resolve/tensor-values.ts";
import { blockOf, inF32, type OutputTensor, stacked } from "./output-tensor.ts";

export interface LoraFactors {
  readonly rank: number;
  /** [rank, in · kernel] */
  readonly down: MatrixView;
  /** [out, rank] */
  readonly up: MatrixView;
  /** Dimensions of the layer's weight behind its outputs: [in, kernel …]. */
  readonly inputShape: Shape;
  /** [rank]; multiplies the columns of `up`. */
  readonly diagonal: Float64Array | undefined;
  /** Whether `down` was computed, in double precision. */
  readonly computed: boolean;
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER for other kinds of deltas */
export function loraFactors({ name, delta, rank }: AdapterModule, target: string): LoraFactors {
  if (delta.kind !== "lora") {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${target} has no place for ${delta.kind}`, { subject: name });
  }
  const { up, down } = factorViews(delta);
  const { diagonal } = delta;
  return {
    rank,
    down,
    up,
    inputShape: inputShape(delta) ?? [down.columns],
    diagonal: diagonal && readNumbers(diagonal),
    computed: delta.core !== undefined,
  };
}

/** [rank, in, kernel …] */
export function downTensor(name: string, { down, inputShape, computed }: LoraFactors): OutputTensor {
  const tensor = stacked(name, [down.rows, ...inputShape], down.columns, [blockOf(down)]);
  return computed ? inF32(tensor) : tensor;
}

/** [out, rank, 1 …] times the factor. */
export function upTensor(name: string, factors: LoraFactors, factor = 1): OutputTensor {
  const { up, inputShape } = factors;
  const ones = inputShape.slice(1).map(() => 1);
  return stacked(name, [up.rows, up.columns, ...ones], up.columns, upBlocks(factors, factor));
}

/** The blocks of `up` [out, rank] times the factor: one, or one for each column that has a factor of its own. */
export function upBlocks({ up, diagonal }: LoraFactors, factor: number): ReturnType<typeof blockOf>[] {
  if (diagonal === undefined) return [blockOf(up, { factor })];
  return Array.from(diagonal, (own, column) =>
    blockOf(sliceColumns(up, column, 1), { factor: factor * own, columnStart: column }),
  );
}
