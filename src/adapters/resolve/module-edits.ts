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
import { restoreHeads } from "./rotary-heads.ts";

/** @throws {Misfit} naming what does not fit */
export function moduleEdits(module: AdapterModule, context: ResolveContext): TensorEdit[] {
  if (module.kind === "experts" || isStackOfOne(module, context)) return expertEdits(module, context);
  const replacement = replacementOf(module, context);
  const layer = locateLayer(module, context, replacement?.shape[0]);
  const ordered = restoreHeads(module, context.model.config);
  const edits = layer.placements.map((placement): TensorEdit => {
    const steps = weightSteps(ordered, layer, placement, context.weight);
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

/** Same shape, but for the rows of vocabularies and of classifiers; weight 1. */
export function checkReplacement(tensor: TensorData, value: TensorData, context: ResolveContext): void {
  const { ends, tie } = context.architecture;
  const vocabulary = [ends.input, ends.output, ...ends.outputBiases, tie?.input, tie?.output];
  const fits = sameShape(value.shape, tensor.shape);
  const fitsBeyondRows =
    value.shape.length === tensor.shape.length && sameShape(value.shape.slice(1), tensor.shape.slice(1));
  const isClassifier = CLASSIFIER.test(tensor.name);
  if (!fits && fitsBeyondRows && isClassifier) {
    const [labels, before] = [value.shape[0], tensor.shape[0]];
    context.report.warnings.push(
      `${quote(tensor.name)}: the adapter has ${labels} labels, the base ${before}; config.json stays as it is, id2label and label2id (num_labels) may need care`,
    );
  } else if (!fits && !(fitsBeyondRows && vocabulary.includes(tensor.name))) {
    throw problem(
      `shapes do not fit: expected ${formatShape(tensor.shape)} of ${quote(tensor.name)}, got ${formatShape(value.shape)}`,
    );
  }
  if (context.weight !== 1) {
    throw problem(`replaces the whole of ${quote(tensor.name)}, which only weight 1 can mean, got ${context.weight}`);
  }
}

/** Heads that PEFT replaces as a whole for classification (`score`, `classifier`), with as many rows as there are labels. */
const CLASSIFIER = /(?:^|\.)(?:score|classifier)\.(?:out_proj\.)?(?:weight|bias)$/;
