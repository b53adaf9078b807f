/**
 * Weights of a base in memory, in f32, whatever they are in the file.
 */

import { MatrixLoader } from "../../adapters/load-matrix.ts";
import { createKernels } from "../../core/cast/kernels.ts";
import { memoryTensor } from "../../formats/memory-tensor.ts";
import type { TensorData } from "../../formats/tensor-store.ts";

/** Each tensor, in the order of the file; those that are f32 already are read once, too. */
export function loadWeights(tensors: ReadonlyMap<string, TensorData>): Map<string, TensorData> {
  const loader = new MatrixLoader(createKernels());
  return new Map(
    Array.from(tensors, ([name, tensor]) => {
      return [name, memoryTensor(tensor.name, tensor.shape, loader.vector(tensor))];
    }),
  );
}
