/**
 * Weights of a base in memory: in f32, whatever they are in the file, or in f16 for devices that keep it.
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

/**
 * The matrices that `stored` has, and in 16 bits, in f16; the rest as it is.
 *
 * @param loaded in f32
 */
export function narrowWeights(
  loaded: ReadonlyMap<string, TensorData>,
  stored: ReadonlyMap<string, TensorData>,
): Map<string, TensorData> {
  const kernels = createKernels();
  const narrow = (tensor: TensorData): TensorData => {
    const { source, shape } = tensor;
    const dtype = stored.get(tensor.name)?.dtype;
    if (source.kind !== "memory" || shape.length < 2 || (dtype !== "f16" && dtype !== "bf16")) return tensor;
    const { buffer, byteOffset, byteLength } = source.bytes;
    const values = new Float32Array(buffer as ArrayBuffer, byteOffset, byteLength / 4);
    // bf16 reaches further than f16.
    if (dtype === "bf16" && values.some((value) => Math.abs(value) > F16_MAX)) return tensor;
    const bytes = new Uint8Array(byteLength / 2);
    kernels.narrow("f16", values, bytes);
    return { ...tensor, dtype: "f16", byteLength: bytes.byteLength, source: { kind: "memory", bytes } };
  };
  return new Map(Array.from(loaded, ([name, tensor]) => [name, narrow(tensor)]));
}

/** The largest finite f16. */
const F16_MAX = 65_504;
