/**
 * An .onnx file → its constants as a store under the names of the parameters that they hold.
 */

import type { TensorStore } from "../../tensor-store.ts";
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
