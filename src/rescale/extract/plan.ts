/**
 * Two models side by side: which tensors may differ by a delta, which are replaced as a whole, and what does not correspond,
 * all of it in one error.
 */

import type { Override } from "../../adapters/adapter.ts";
import { type Architecture, isVocabulary } from "../../adapters/architecture/architecture.ts";
import { applyRenames } from "../../adapters/architecture/renames.ts";
import { NameIndex } from "../../adapters/resolve/names.ts";
import { refuseQuantized } from "../../adapters/resolve/quantized.ts";
import { sameNumbers } from "../../adapters/same-numbers.ts";
import { isFloatDtype } from "../../core/dtype.ts";
import { MismatchError } from "../../core/errors.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { Model } from "../../formats/model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { classify, type FactoredTensor } from "./classify.ts";
import { sameValues } from "./same-values.ts";

/** A tensor of both models that becomes factors, if it changed. */
export interface Difference extends FactoredTensor {
  readonly base: TensorData;
  readonly tuned: TensorData;
}

export interface ExtractPlan {
  readonly differences: readonly Difference[];
  /** Only those that changed. */
  readonly overrides: readonly Override[];
  /** Tensors that are the same in both models, as far as headers and small tensors tell. */
  readonly unchanged: number;
}

/** A model and what its names mean. */
export interface Side {
  readonly model: Model;
  readonly architecture: Architecture;
}

/** @throws {MismatchError} ADAPTER_MISMATCH with every tensor that has no counterpart or cannot have become the other */
export function planExtract(base: Side, tuned: Side): ExtractPlan {
  const problems: string[] = [];
  const differences: Difference[] = [];
  const overrides: Override[] = [];
  let unchanged = 0;
  const names = new Set([...base.model.store.tensors.keys(), ...tuned.model.store.tensors.keys()]);
  for (const name of names) {
    const [before, after] = [tensorOf(name, base), tensorOf(name, tuned)];
    if (before === undefined || after === undefined) {
      problems.push(`${quote(name)}: only in the ${before === undefined ? "tuned model" : "base"}`);
      continue;
    }
    const keepsShape = sameShape(before.shape, after.shape);
    if (keepsShape && sameNumbers(before, after)) {
      unchanged++;
      continue;
    }
    for (const { model } of [base, tuned]) {
      refuseQuantized(name, { model, names: new NameIndex(model.store.tensors, []) });
    }
    if (!isFloatDtype(before.dtype) || !isFloatDtype(after.dtype)) {
      problems.push(`${quote(name)}: no difference is defined for ${before.dtype} and ${after.dtype}`);
      continue;
    }
    const factored = keepsShape ? classify(name, before.shape, base.architecture) : undefined;
    if (factored !== undefined) differences.push({ ...factored, base: before, tuned: after });
    else if (!keepsShape && !isResized(name, before, after, base.architecture)) {
      const [own, other] = [before.shape, after.shape].map(formatShape);
      problems.push(`${quote(name)}: is ${own} in the base, ${other} in the tuned model`);
    } else if (keepsShape && sameValues(before, after)) unchanged++;
    else overrides.push({ name: applyRenames(name, base.architecture.renames), value: after });
  }
  differences.push(...otherEnds(differences, base, tuned));
  if (problems.length > 0) {
    throw new MismatchError("ADAPTER_MISMATCH", "the models do not correspond", problems, {
      file: tuned.model.path,
      hint: "expected two models of one architecture, the second trained from the first",
    });
  }
  return { differences, overrides, unchanged };
}

/**
 * Where one tensor is both ends of an embedding in both models, PEFT must adapt either end: an embedding that reads rows, a
 * head that multiplies with them. Their factors are each other's transposes, so the tie holds.
 */
function otherEnds(differences: readonly Difference[], base: Side, tuned: Side): Difference[] {
  const tie = base.architecture.tie;
  if (tie === undefined || tuned.architecture.tie === undefined) return [];
  const isStored = [base, tuned].some(({ model }) => model.store.tensors.has(tie.output));
  const input = differences.find(({ base: { name } }) => name === tie.input);
  if (isStored || input === undefined) return [];
  const head = classify(tie.output, input.base.shape, base.architecture);
  return head === undefined ? [] : [{ ...head, base: input.base, tuned: input.tuned }];
}

/** The tensor of a name; for the end of a tied embedding that is not stored, the other one. */
function tensorOf(name: string, { model, architecture: { tie } }: Side): TensorData | undefined {
  const { tensors } = model.store;
  const stored = tensors.get(name);
  if (stored !== undefined || tie === undefined) return stored;
  if (name === tie.output) return tensors.get(tie.input);
  return name === tie.input ? tensors.get(tie.output) : undefined;
}

/** Embedding, head or its bias, with another number of rows. */
function isResized(name: string, before: TensorData, after: TensorData, architecture: Architecture): boolean {
  return isVocabulary(name, architecture) && sameShape(before.shape.slice(1), after.shape.slice(1));
}
