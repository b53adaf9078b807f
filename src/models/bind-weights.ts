/**
 * A description and a store → the tensor for each name that the description uses.
 *
 * Everything that does not fit is listed at once: tensors that are missing, of another shape, of a dtype that is no float,
 * and tensors that the model would not use. Names in files vary with what was saved and by which version: see `spellings`.
 */

import { sameNumbers } from "../adapters/same-numbers.ts";
import { isFloatDtype } from "../core/dtype.ts";
import { MismatchError } from "../core/errors.ts";
import { formatShape, type Shape, sameShape } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import type { TensorData, TensorStore } from "../formats/tensor-store.ts";
import { isDerivedBuffer } from "./derived-buffers.ts";
import type { ModelDescription } from "./description.ts";
import { addLinear, expectedTensors } from "./tensors.ts";

/** The tensor behind a name of the description; it may have another name in its file. */
export type WeightLookup = (name: string) => TensorData;

export interface BindOptions {
  /** Lets the store hold more than the model uses. */
  readonly ignoresOthers?: boolean;
}

/** @throws {MismatchError} MODEL_MISMATCH */
export function bindWeights(
  model: ModelDescription,
  store: TensorStore,
  { ignoresOthers = false }: BindOptions = {},
): WeightLookup {
  const shapes = expectedTensors(model);
  const spelling = chooseSpelling(model, store, shapes);
  const isStored = (name: string) => store.tensors.has(spelling(name));
  // The head alone may have been renamed.
  const headName = [model.head.weight, `${model.head.module}.weight`].find(isStored);
  if (headName !== undefined || !model.isTied) addLinear(shapes, model.head);
  const stored = (name: string) => spelling(name === model.head.weight ? (headName ?? name) : name);

  const problems: string[] = [];
  const bound = new Map<string, TensorData>();
  const used = new Set([...shapes.keys()].map(stored));
  for (const [name, shape] of shapes) {
    const tensor = store.tensors.get(stored(name));
    const problem = tensor === undefined ? "is missing" : misfit(tensor, shape);
    if (tensor !== undefined) bound.set(name, tensor);
    if (problem !== undefined) problems.push(`${quote(stored(name))}: ${problem}`);
  }
  for (const name of store.tensors.keys()) {
    const isOther = isDerivedBuffer(name) || model.otherParts.some((start) => name.startsWith(start));
    if (!used.has(name) && !isOther && !ignoresOthers) problems.push(`${quote(name)}: is no tensor of this model`);
  }
  if (problems.length > 0) {
    const summary = `the weights do not fit model type ${quote(model.type)} with the settings of its config.json:`;
    throw new MismatchError("MODEL_MISMATCH", summary, problems, { file: store.path });
  }
  tieHead(model, bound);
  return (name) => {
    const tensor = bound.get(name);
    if (tensor === undefined) throw new Error(`the description names no tensor ${name}`);
    return tensor;
  };
}

/** Ends that are stored twice with the same numbers are one tensor, as in transformers. */
function tieHead({ isTied, embedding, head }: ModelDescription, bound: Map<string, TensorData>): void {
  const [table, own] = [bound.get(embedding.weight), bound.get(head.weight)];
  if (!isTied || table === undefined) return;
  if (own === undefined || sameNumbers(table, own)) bound.set(head.weight, table);
}

function misfit({ dtype, shape: found }: TensorData, shape: Shape): string | undefined {
  if (!sameShape(found, shape)) return `expected shape ${formatShape(shape)}, got ${formatShape(found)}`;
  return isFloatDtype(dtype) ? undefined : `expected a float dtype, got ${dtype}`;
}

type Spelling = (name: string) => string;

/** How files spell the names of the description. */
function spellings(model: ModelDescription): readonly Spelling[] {
  const outer = model.embedding.module.split(".").slice(0, -1).join(".");
  const moved = (to: string): Spelling => {
    return (name) => (name.startsWith(`${outer}.`) ? to + name.slice(outer.length + 1) : name);
  };
  const all: Spelling[] = [(name) => name, moved("")];
  // Models of text and images, as transformers 4 saved them.
  if (outer === "model.language_model") {
    const inner = moved("language_model.model.");
    all.push((name) => (name.startsWith("lm_head.") ? `language_model.${name}` : inner(name)));
  }
  return all;
}

/** The spelling under which most of the names are there. */
function chooseSpelling(model: ModelDescription, store: TensorStore, shapes: ReadonlyMap<string, Shape>): Spelling {
  const counted = spellings(model).map((spelling) => {
    const count = [...shapes.keys()].filter((name) => store.tensors.has(spelling(name))).length;
    return { spelling, count };
  });
  return counted.reduce((best, one) => (one.count > best.count ? one : best)).spelling;
}
