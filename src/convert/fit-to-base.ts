/**
 * Factors of a linear layer that is stored as a convolution with a kernel of 1, or the reverse, in the dimensions that the
 * base has: the numbers are the same.
 */

import type { AdapterModule } from "../adapters/adapter.ts";
import type { NameFinder } from "../adapters/resolve/names.ts";
import type { TensorData } from "../formats/tensor-store.ts";

export function fitToBase(module: AdapterModule, names: NameFinder): AdapterModule {
  const { delta, kind } = module;
  if (delta.kind !== "lora" || kind !== "linear" || delta.transposed !== undefined) return module;
  const match = names.find(`${module.name}.weight`);
  const dimensions = match.kind === "one" ? match.tensor.shape.length : 0;
  if (dimensions < 2 || delta.core !== undefined) return module;
  const reshape = (tensor: TensorData): TensorData => {
    const [rows = 0, columns = 0] = tensor.shape;
    return { ...tensor, shape: [rows, columns, ...Array.from({ length: dimensions - 2 }, () => 1)] };
  };
  return { ...module, delta: { ...delta, down: reshape(delta.down), up: reshape(delta.up) } };
}
