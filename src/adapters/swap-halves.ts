/**
 * A module with both halves of its outputs exchanged: what the last modulation of Flux and Stable Diffusion 3 needs, which is
 * (shift, scale) in original models and (scale, shift) in diffusers (`swap_scale_shift` of its converters).
 */

import { UnsupportedError } from "../core/errors.ts";
import { readTensorBytes } from "../formats/byte-source.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { AdapterModule } from "./adapter.ts";

/**
 * The module with up, magnitude and bias turned by half of their rows, in memory.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for deltas whose rows are not those of one tensor
 */
export function swapHalves(module: AdapterModule): AdapterModule {
  const { delta, magnitude, magnitudeAxis, bias, name } = module;
  if (delta.kind !== "lora" && delta.kind !== "full") {
    const problem = `${delta.kind} on a layer whose halves original models and diffusers have the other way round is not supported`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject: name });
  }
  return {
    ...module,
    delta: delta.kind === "lora" ? { ...delta, up: swapRows(delta.up) } : { ...delta, values: swapRows(delta.values) },
    ...(magnitude && magnitudeAxis === undefined && { magnitude: swapRows(magnitude) }),
    ...(bias && { bias: swapRows(bias) }),
  };
}

/** Rows are the outermost dimension longer than 1. */
function swapRows(tensor: TensorData): TensorData {
  const rows = tensor.shape.find((size) => size !== 1) ?? 1;
  if (rows % 2 !== 0) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `expected rows of a shift and a scale, got ${rows}`, {
      subject: tensor.name,
    });
  }
  const stored = readTensorBytes(tensor);
  const bytes = new Uint8Array(stored.length);
  bytes.set(stored.subarray(stored.length / 2));
  bytes.set(stored.subarray(0, stored.length / 2), stored.length / 2);
  return { ...tensor, source: { kind: "memory", bytes } };
}
