/**
 * Whole tensors of an adapter that take the place of the base's.
 */

import { formatShape, sameShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import { isVocabulary } from "../architecture/architecture.ts";
import type { TensorEdit } from "../edit.ts";
import { matrixOf, transpose } from "../matrix.ts";
import { sameNumbers } from "../same-numbers.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { isTurned } from "./graph-layer.ts";
import { storageView } from "./placement.ts";
import { problem } from "./report.ts";

/** The saved weight of the layer, unless it is the base's own. */
export function replacementOf({ name, baseWeight }: AdapterModule, context: ResolveContext): TensorData | undefined {
  if (baseWeight === undefined) return undefined;
  const tensor = findTarget(`${name}.weight`, context);
  if (tensor === undefined) throw notInBase(`${name}.weight`, context);
  if (sameShape(tensor.shape, baseWeight.shape) && sameNumbers(tensor, baseWeight)) return undefined;
  checkReplacement(tensor, baseWeight, context);
  return baseWeight;
}

/** Same shape, but for the rows of vocabularies and of classifiers; weight 1. */
export function checkReplacement(tensor: TensorData, value: TensorData, context: ResolveContext): void {
  const fits = sameShape(value.shape, isTurned(tensor, context, value) ? tensor.shape.toReversed() : tensor.shape);
  const fitsBeyondRows =
    value.shape.length === tensor.shape.length && sameShape(value.shape.slice(1), tensor.shape.slice(1));
  const isClassifier = CLASSIFIER.test(tensor.name);
  const mayGrow = context.model.graph === undefined;
  if (!fits && fitsBeyondRows && isClassifier && mayGrow) {
    const [labels, before] = [value.shape[0], tensor.shape[0]];
    context.report.warnings.push(
      `${quote(tensor.name)}: the adapter has ${labels} labels, the base ${before}; config.json stays as it is, id2label and label2id (num_labels) may need care`,
    );
  } else if (!fits && !(fitsBeyondRows && isVocabulary(tensor.name, context.architecture) && mayGrow)) {
    throw problem(
      `shapes do not fit: expected ${formatShape(tensor.shape)} of ${quote(tensor.name)}, got ${formatShape(value.shape)}`,
    );
  }
  if (context.weight !== 1) {
    throw problem(`replaces the whole of ${quote(tensor.name)}, which only weight 1 can mean, got ${context.weight}`);
  }
}

/** How an edit says that the tensor becomes `value`: as it is or, where a graph stores it the other way round, turned. */
export function replaceWith(
  tensor: TensorData,
  value: TensorData,
  context: ResolveContext,
): Pick<TensorEdit, "replacement" | "view" | "steps"> {
  if (!isTurned(tensor, context, value)) return { replacement: value, view: storageView(value), steps: [] };
  const values = transpose(matrixOf(value, ...storageView(value)));
  return { view: storageView(tensor), steps: [{ kind: "assign", values }] };
}

/** Heads that PEFT replaces as a whole for classification (`score`, `classifier`), with as many rows as there are labels. */
const CLASSIFIER = /(?:^|\.)(?:score|classifier)\.(?:out_proj\.)?(?:weight|bias)$/;
