/**
 * The delta of a module → steps on the tensors that hold its layer's weight.
 */

import { formatShape, sameShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import type { Step } from "../edit.ts";
import { matrixOf, transpose } from "../matrix.ts";
import { checkLength } from "./check-length.ts";
import type { ResolveContext } from "./context.ts";
import { factorViews } from "./factor-views.ts";
import { isTurned } from "./graph-layer.ts";
import { ia3Step } from "./ia3.ts";
import { lowRankStep } from "./low-rank-step.ts";
import { oftSteps } from "./oft.ts";
import { isWhole, type Layer, type Placement } from "./placement.ts";
import { hadamardStep, kroneckerStep } from "./product-deltas.ts";
import { problem } from "./report.ts";
import { veraStep } from "./vera.ts";

/** What the module does to one part of its layer's weight. */
export function weightSteps(
  module: AdapterModule,
  layer: Layer,
  placement: Placement,
  context: ResolveContext,
): Step[] {
  const { delta } = module;
  const { weight } = context;
  const whole = isWhole(placement, layer);
  if (module.magnitude !== undefined && delta.kind !== "lora") throw problem(`DoRA on ${delta.kind} is not supported`);
  if (delta.kind === "full") return [fullStep(delta.values, placement, whole, context)];
  if (delta.kind !== "lora") {
    if (!whole) throw problem(`${delta.kind} on a layer that the base stores in parts is not supported`);
    if (delta.kind === "ia3") return [ia3Step(delta, layer, placement, weight)];
    if (delta.kind === "oft") return oftSteps(delta, layer, placement, weight);
    const scale = module.scale * weight;
    if (delta.kind === "vera") return [veraStep(delta, module.rank, layer, placement, scale)];
    return [delta.kind === "loha" ? hadamardStep(delta, placement, scale) : kroneckerStep(delta, placement, scale)];
  }
  const { rank } = module;
  const { up, down } = factorViews(delta);
  checkRank(up.columns, rank, delta.up);
  checkRank(down.rows, rank, delta.down);
  if (delta.diagonal !== undefined) checkLength(delta.diagonal, rank, "diagonal elements");
  const steps: Step[] = [];
  // Where the adapter carries the weight, it is what the initialisation left: PEFT loads it over the base's.
  if (module.residual !== undefined && module.baseWeight === undefined) {
    if (module.kind === "embedding") throw problem(`${module.residual} is an initialisation of linear layers only`);
    if (!whole) throw problem(`${module.residual} on a layer that the base stores in parts is not supported`);
    if (module.magnitude !== undefined && weight !== 1) {
      throw problem(`${module.residual} with DoRA can only be merged with weight 1, got ${weight}`);
    }
    // PEFT transposes a Conv1D for PiSSA and not for OLoRA; what an exporter turned is a linear layer.
    const transposed = placement.transposed && (module.residual === "pissa" || isTurned(placement.tensor, context));
    steps.push({ kind: "residual", initialisation: module.residual, rank, scale: module.scale, weight, transposed });
  }
  if (module.magnitude === undefined) {
    steps.push(lowRankStep(placement, up, down, module.scale * weight, delta.diagonal));
    return steps;
  }
  if (!whole) throw problem("DoRA on a layer that the base stores in parts is not supported");
  const ofInputs = module.magnitudeAxis === "inputs";
  checkLength(module.magnitude, ofInputs ? layer.inputs : layer.outputs, "magnitudes");
  steps.push({
    kind: "magnitude",
    axis: placement.transposed === ofInputs ? "rows" : "columns",
    weight,
    magnitude: module.magnitude,
    inner: [lowRankStep(placement, up, down, module.scale, delta.diagonal)],
  });
  return steps;
}

/** The change of a whole parameter. */
function fullStep(values: TensorData, { tensor, view }: Placement, whole: boolean, context: ResolveContext): Step {
  if (!whole) throw problem("the change of a layer that the base stores in parts is not supported");
  const turned = isTurned(tensor, context, values);
  const shape = withoutOnes(tensor);
  if (!sameShape(withoutOnes(values), turned ? shape.toReversed() : shape)) {
    throw problem(
      `shapes do not fit: expected ${formatShape(tensor.shape)} of ${quote(tensor.name)}, got ${formatShape(values.shape)}`,
    );
  }
  const added = turned ? transpose(matrixOf(values, view[1], view[0])) : matrixOf(values, ...view);
  return { kind: "add", scale: context.weight, rowStart: 0, values: added };
}

/** A linear layer may be stored as a convolution with a kernel of 1. */
function withoutOnes({ shape }: TensorData): readonly number[] {
  return shape.filter((size) => size !== 1);
}

function checkRank(found: number, rank: number, { name, shape }: TensorData): void {
  if (found !== rank) throw problem(`expected rank ${rank}, got ${quote(name)} ${formatShape(shape)}`);
}
