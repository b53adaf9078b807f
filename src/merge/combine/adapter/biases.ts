/**
 * Biases of `lora_B` are summed, whatever the method: they are few, and nothing in them is sparse.
 */

import { readNumbers } from "../../../adapters/resolve/tensor-values.ts";
import { memoryTensor } from "../../../formats/memory-tensor.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { MatchedModule } from "./match.ts";

/** Σ weight / scale · bias [out], in double precision and rounded once to f32; `undefined` where no part has one. */
export function joinBiases({ name, parts }: MatchedModule, scale: number): TensorData | undefined {
  const biased = parts.flatMap(({ module: { bias }, weight }) => (bias === undefined ? [] : [{ bias, weight }]));
  const [first, ...others] = biased;
  if (first === undefined) return undefined;
  if (others.length === 0 && first.weight === scale) return first.bias;
  const sums = new Float64Array(readNumbers(first.bias).length);
  for (const { bias, weight } of biased) {
    for (const [index, value] of readNumbers(bias).entries()) {
      sums[index] = (sums[index] ?? 0) + (weight / scale) * value;
    }
  }
  return memoryTensor(`${name}.bias`, [sums.length], Float32Array.from(sums));
}
