/**
 * A module of a layer that is several layers on top of each other → one module for each, with its rows.
 */

import type { AdapterModule } from "../adapters/adapter.ts";
import { UnsupportedError } from "../core/errors.ts";
import { elementCount } from "../core/shape.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import { sliceTensor } from "../formats/tensor-store.ts";

/**
 * @param shares relative numbers of rows
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for deltas whose rows are not those of one tensor
 */
export function cutRows(module: AdapterModule, shares: readonly number[]): AdapterModule[] {
  const { delta, name, magnitude, magnitudeAxis, bias } = module;
  if ((delta.kind !== "lora" && delta.kind !== "full") || magnitudeAxis === "inputs") {
    const what = delta.kind === "lora" ? "DoRA of inputs" : delta.kind;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${what} on joined layers cannot be cut into them`, {
      subject: name,
    });
  }
  const total = shares.reduce((sum, share) => sum + share, 0);
  const cut = (tensor: TensorData, index: number): TensorData => {
    const unit = length(tensor) / total;
    if (!Number.isInteger(unit)) {
      const problem = `expected rows of ${shares.length} layers in shares of ${shares.join(", ")}, got ${length(tensor)}`;
      throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject: tensor.name });
    }
    const start = shares.slice(0, index).reduce((sum, share) => sum + share, 0);
    return sliceTensor(tensor, start * unit, (shares[index] ?? 0) * unit);
  };
  return shares.map((_, index) => ({
    ...module,
    delta:
      delta.kind === "lora" ? { ...delta, up: cut(delta.up, index) } : { ...delta, values: cut(delta.values, index) },
    ...(magnitude && { magnitude: cut(asVector(magnitude), index) }),
    ...(bias && { bias: cut(bias, index) }),
  }));
}

function length({ shape }: TensorData): number {
  return shape[0] ?? 0;
}

/** [out, 1 …] or [1, out, 1 …] as [out]. */
function asVector(tensor: TensorData): TensorData {
  return { ...tensor, shape: [elementCount(tensor.shape) ?? 0] };
}
