/**
 * The delta of a module → steps on the tensors that hold its layer's weight.
 */

import { elementCount, formatShape } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import type { LowRankStep, Step } from "../edit.ts";
import { type MatrixView, matrixOf, sliceColumns, sliceRows, transpose } from "../matrix.ts";
import { ia3Step } from "./ia3.ts";
import { isWhole, type Layer, type Placement } from "./placement.ts";
import { hadamardStep, kroneckerStep } from "./product-deltas.ts";
import { problem } from "./report.ts";

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

/** What the module does to one part of its layer's weight. */
export function weightSteps(module: AdapterModule, layer: Layer, placement: Placement, weight: number): Step[] {
  const { delta } = module;
  const whole = isWhole(placement, layer);
  if (delta.kind !== "lora") {
    if (!whole) throw problem(`${delta.kind} on a layer that the base stores in parts is not supported`);
    if (delta.kind === "ia3") return [ia3Step(delta, layer, placement, weight)];
    const scale = module.scale * weight;
    return [delta.kind === "loha" ? hadamardStep(delta, placement, scale) : kroneckerStep(delta, placement, scale)];
  }
  const { rank } = module;
  checkLength(delta.down, rank * layer.inputs, `elements of a factor of rank ${rank}`);
  checkLength(delta.up, rank * layer.outputs, `elements of a factor of rank ${rank}`);
  if (delta.diagonal !== undefined) checkLength(delta.diagonal, rank, "diagonal elements");
  const up = matrixOf(delta.up, layer.outputs, rank);
  const down = matrixOf(delta.down, rank, layer.inputs);
  const steps: Step[] = [];
  if (module.residual !== undefined) {
    if (!whole) throw problem(`${module.residual} on a layer that the base stores in parts is not supported`);
    if (module.magnitude !== undefined && weight !== 1) {
      throw problem(`${module.residual} with DoRA can only be merged with weight 1, got ${weight}`);
    }
    // PEFT transposes a Conv1D for PiSSA and not for OLoRA.
    const transposed = module.residual === "pissa" && placement.transposed;
    steps.push({ kind: "residual", initialisation: module.residual, rank, scale: module.scale, weight, transposed });
  }
  if (module.magnitude === undefined) {
    steps.push(lowRankStep(placement, up, down, module.scale * weight, delta.diagonal));
    return steps;
  }
  if (!whole) throw problem("DoRA on a layer that the base stores in parts is not supported");
  checkLength(module.magnitude, layer.outputs, "magnitudes");
  steps.push({
    kind: "magnitude",
    axis: placement.transposed ? "columns" : "rows",
    weight,
    magnitude: module.magnitude,
    inner: [lowRankStep(placement, up, down, module.scale, delta.diagonal)],
  });
  return steps;
}

/** Number of elements, whatever the dimensions: `[out]`, `[1, out, 1, 1]`. */
export function checkLength(tensor: TensorData, expected: number, what: string): void {
  if (elementCount(tensor.shape) === expected) return;
  throw problem(`expected ${expected} ${what}, got ${formatShape(tensor.shape)}`);
}
