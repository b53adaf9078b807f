/**
 * A description and a store → the tensor for each name that the description uses.
 *
 * Everything that does not fit is listed at once: tensors that are missing, of another shape, of a dtype that is no float,
 * and tensors that the model would not use. Names may lack the prefix of the model inside (`h.0.ln_1.weight` for
 * `transformer.h.0.ln_1.weight`), as in checkpoints that were saved from it.
 */

import { isFloatDtype } from "../core/dtype.ts";
import { MismatchError } from "../core/errors.ts";
import { formatShape, type Shape, sameShape } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import type { TensorData, TensorStore } from "../formats/tensor-store.ts";
import type { ModelDescription } from "./description.ts";
import { addLinear, expectedTensors } from "./tensors.ts";

/** The tensor behind a name of the description; it may have another name in its file. */
export type WeightLookup = (name: string) => TensorData;

/** What older versions of transformers stored although it follows from the configuration. */
const BUFFERS = /(?:^|\.)(?:rotary_emb\.inv_freq|(?:attn|attention)\.(?:bias|masked_bias))$/;

/** @throws {MismatchError} MODEL_MISMATCH */
export function bindWeights(model: ModelDescription, store: TensorStore): WeightLookup {
  const shapes = expectedTensors(model);
  const stored = storedNames(model, store, shapes);
  const headIsStored = store.tensors.has(stored(model.head.weight));
  if (headIsStored || !model.isTied) addLinear(shapes, model.head);
  const problems: string[] = [];
  const bound = new Map<string, TensorData>();
  const used = new Set<string>();
  for (const [name, shape] of shapes) {
    const tensor = store.tensors.get(stored(name));
    used.add(stored(name));
    const problem = tensor === undefined ? "is missing" : misfit(tensor, shape);
    if (tensor !== undefined) bound.set(name, tensor);
    if (problem !== undefined) problems.push(`${quote(stored(name))}: ${problem}`);
  }
  for (const name of store.tensors.keys()) {
    if (!used.has(name) && !BUFFERS.test(name)) problems.push(`${quote(name)}: is no tensor of this model`);
  }
  if (problems.length > 0) {
    const summary = `the weights do not fit model type ${quote(model.type)} with these settings:`;
    throw new MismatchError("MODEL_MISMATCH", summary, problems, { file: store.path });
  }
  if (!headIsStored && model.isTied) {
    const table = bound.get(model.embedding.weight);
    if (table !== undefined) bound.set(model.head.weight, table);
  }
  return (name) => {
    const tensor = bound.get(name);
    if (tensor === undefined) throw new Error(`the description names no tensor ${name}`);
    return tensor;
  };
}

function misfit({ dtype, shape: found }: TensorData, shape: Shape): string | undefined {
  if (!sameShape(found, shape)) return `expected shape ${formatShape(shape)}, got ${formatShape(found)}`;
  return isFloatDtype(dtype) ? undefined : `expected a float dtype, got ${dtype}`;
}

/** From the names of the description to those of the file: as they are, or without the first part. */
function storedNames(
  model: ModelDescription,
  store: TensorStore,
  shapes: ReadonlyMap<string, Shape>,
): (name: string) => string {
  const prefix = model.embedding.weight.slice(0, model.embedding.weight.indexOf(".") + 1);
  const inner = (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
  const count = (rename: (name: string) => string) =>
    [...shapes.keys()].filter((name) => store.tensors.has(rename(name))).length;
  return count(inner) > count((name) => name) ? inner : (name) => name;
}
