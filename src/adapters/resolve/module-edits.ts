/**
 * One adapter module → edits of the tensors that hold its layer.
 */

import { formatShape, sameShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import type { TensorEdit } from "../edit.ts";
import { sameNumbers } from "../same-numbers.ts";
import { biasEdits } from "./bias.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { weightSteps } from "./delta-steps.ts";
import { expertEdits } from "./experts.ts";
import { locateLayer } from "./layer.ts";
import { problem } from "./report.ts";

/** @throws {Misfit} naming what does not fit */
export function moduleEdits(module: AdapterModule, context: ResolveContext): TensorEdit[] {
  if (module.kind === "experts" || isStackOfOne(module, context)) return expertEdits(module, context);
  const replacement = replacementOf(module, context);
  const layer = locateLayer(module, context, replacement?.shape[0]);
  const edits = layer.placements.map((placement): TensorEdit => {
    const steps = weightSteps(module, layer, placement, context.weight);
    const { tensor, view } = placement;
    return {
      tensor: tensor.name,
      module: module.name,
      view,
      steps,
      bothEnds: false,
      ...(replacement && { replacement }),
    };
  });
  return [...edits, ...biasEdits(module, layer, context)];
}

/** Every tensor of the file that belongs to the module. */
export function tensorsOf(module: AdapterModule): TensorData[] {
  const { delta, magnitude, bias, baseWeight } = module;
  const factors = Object.values(delta).flat();
  return [...factors, magnitude, bias, baseWeight].filter((value): value is TensorData => typeof value === "object");
}

function isStackOfOne({ name, parameter }: AdapterModule, context: ResolveContext): boolean {
  return parameter !== undefined && findTarget(`${name}.${parameter}`, context)?.shape.length === 3;
}

/** The saved weight of the layer, unless it is the base's own. */
function replacementOf({ name, baseWeight }: AdapterModule, context: ResolveContext): TensorData | undefined {
  if (baseWeight === undefined) return undefined;
  const tensor = findTarget(`${name}.weight`, context);
  if (tensor === undefined) throw notInBase();
  if (sameShape(tensor.shape, baseWeight.shape) && sameNumbers(tensor, baseWeight)) return undefined;
  checkReplacement(tensor, baseWeight, context);
  return baseWeight;
}

/** Same shape, but for the rows of embeddings and heads; weight 1. */
export function checkReplacement(tensor: TensorData, value: TensorData, context: ResolveContext): void {
  const { ends, tie } = context.architecture;
  const isVocabulary = [ends.input, ends.output, tie?.input, tie?.output].includes(tensor.name);
  const fits = isVocabulary
    ? value.shape.length === 2 && value.shape[1] === tensor.shape[1]
    : sameShape(value.shape, tensor.shape);
  if (!fits) {
    throw problem(
      `shapes do not fit: expected ${formatShape(tensor.shape)} of ${quote(tensor.name)}, got ${formatShape(value.shape)}`,
    );
  }
  if (context.weight !== 1) {
    throw problem(`replaces the whole of ${quote(tensor.name)}, which only weight 1 can mean, got ${context.weight}`);
  }
}
