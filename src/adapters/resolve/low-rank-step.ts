/**
 * The factors of a layer, cut and turned to the part of it that a tensor holds.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import type { LowRankStep } from "../edit.ts";
import { type MatrixView, sliceColumns, sliceRows, transpose } from "../matrix.ts";
import type { Placement } from "./placement.ts";

/** `left` [outputs, k] · `right` [k, inputs] of a layer, as a step on the tensor that holds a part of it. */
export function lowRankStep(
  placement: Placement,
  up: MatrixView,
  down: MatrixView,
  scale: number,
  diagonal?: TensorData,
): LowRankStep {
  const ownUp = sliceRows(up, placement.firstOutput, placement.outputs);
  const ownDown = sliceColumns(down, placement.firstInput, placement.inputs);
  const [left, right] = placement.transposed ? [transpose(ownDown), transpose(ownUp)] : [ownUp, ownDown];
  const { rowStart, columnStart } = placement;
  return { kind: "low-rank", scale, rowStart, columnStart, left, right, ...(diagonal && { diagonal }) };
}
