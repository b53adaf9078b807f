/**
 * What a module does to the bias of its layer: `lora_bias` adds scale · lora_B.bias, IA3 multiplies it where it multiplies
 * the outputs.
 */

import { quote } from "../../core/text.ts";
import type { AdapterModule } from "../adapter.ts";
import type { Step, TensorEdit } from "../edit.ts";
import { matrixOf } from "../matrix.ts";
import { checkLength } from "./check-length.ts";
import { findTarget, type ResolveContext } from "./context.ts";
import { isWhole, type Layer, storageView } from "./placement.ts";
import { problem } from "./report.ts";

export function biasEdits(module: AdapterModule, layer: Layer, context: ResolveContext): TensorEdit[] {
  const step = biasStep(module, layer, context.weight);
  if (step === undefined) return [];
  const { delta } = module;
  const isUnclear = delta.kind === "ia3" && delta.aboutOne === true && !delta.feedforward;
  if (isUnclear && findTarget(`${module.name}.bias`, context) !== undefined) {
    throw problem("IA3 of outputs on a layer with a bias: versions of LyCORIS differ in whether the bias is scaled");
  }
  const [placement, ...others] = layer.placements;
  const isJoined = placement?.tensor.name.endsWith("in_proj_weight") === true;
  const path = isJoined ? `${module.name}.in_proj_bias` : `${module.name}.bias`;
  const tensor = findTarget(path, context);
  if (tensor === undefined) {
    if (step.kind === "scale") return [];
    throw problem(`has a bias (lora_bias), and the layer has no bias to add to: expected ${quote(path)} in the base`);
  }
  if (placement === undefined || others.length > 0 || !isWhole(placement, layer)) {
    throw problem("a bias of a layer that the base stores in parts is not supported");
  }
  checkLength(tensor, layer.outputs, `elements of ${quote(tensor.name)}`);
  return [{ tensor: tensor.name, module: module.name, view: storageView(tensor), steps: [step], bothEnds: false }];
}

function biasStep(module: AdapterModule, layer: Layer, weight: number): Step | undefined {
  const { delta, bias } = module;
  if (delta.kind === "ia3") {
    return delta.feedforward ? undefined : { kind: "scale", axis: "columns", weight, vector: delta.vector };
  }
  if (bias === undefined) return undefined;
  checkLength(bias, layer.outputs, "elements of lora_B.bias");
  return { kind: "add", scale: module.scale * weight, rowStart: 0, values: matrixOf(bias, 1, layer.outputs) };
}
