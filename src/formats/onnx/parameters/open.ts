/**
 * An .onnx file → its constants as a store under the names of the parameters that they hold.
 */

import type { TensorData, TensorStore } from "../../tensor-store.ts";
import { type OpenOnnxOptions, openOnnx } from "../reader.ts";
import { findParameters, type OnnxParameters } from "./parameters.ts";

export interface OpenedParameters {
  readonly graph: OnnxParameters;
  readonly store: TensorStore;
}

/** @param shownPath how errors and the store name the file; differs where a link was resolved */
export function openParameters(path: string, shownPath = path, options: OpenOnnxOptions = {}): OpenedParameters {
  const model = openOnnx(path, { ...options, shownPath });
  const graph = findParameters(model);
  const tensors = new Map(
    [...graph.byName].map(([name, { constant }]) => {
      // Object spread would call the getter of bytes that are not made yet.
      const { dtype, shape, byteLength, source } = constant.tensor.data;
      return [name, { name, dtype, shape, byteLength, source }];
    }),
  );
  return { graph, store: { ...model.store, tensors } };
}

/**
 * The tensors of a changed file under the names that they had before: a constant may get a name once a LoRA branch that
 * claimed it, too, is gone.
 */
export function underOldNames(before: OnnxParameters, after: OpenedParameters): ReadonlyMap<string, TensorData> {
  const { graph, store } = after;
  const oldNames = new Map(
    [...before.byName.values()].flatMap(({ name, constant }) =>
      graph.byName.has(name) ? [] : [[constant.key, name] as const],
    ),
  );
  return new Map(
    [...store.tensors].map(([name, tensor]) => {
      const key = graph.byName.get(name)?.constant.key ?? name;
      return [before.byName.has(name) ? name : (oldNames.get(key) ?? name), tensor];
    }),
  );
}
