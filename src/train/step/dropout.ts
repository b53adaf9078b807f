/**
 * Dropout masks as a pure function of (seed, step, micro-batch, module), so that a run that resumes drops the same inputs.
 */

import { type PhiloxKey, philox, philoxKey } from "../../core/random.ts";
import { elementCount } from "../../core/shape.ts";
import type { EngineTensor } from "../../engine/tensor.ts";
import type { DropoutMask } from "./step-graph.ts";

/** Each word decides for two elements, by its halves. */
const ELEMENTS_PER_BLOCK = 8;

/** Each element is kept with probability 1 − p and then multiplied by 1/(1 − p); p counts in steps of 2⁻¹⁶. */
export function dropoutMasks(
  masks: readonly DropoutMask[],
  p: number,
  { seed, step, microBatch }: { readonly seed: number; readonly step: number; readonly microBatch: number },
): Map<string, EngineTensor> {
  return new Map(
    masks.map(({ input, shape }) => {
      const data = new Float32Array(elementCount(shape) ?? 0);
      fillMask(data, p, philoxKey(seed, `dropout ${input}`), step, microBatch);
      return [input, { dtype: "f32", shape, data }];
    }),
  );
}

function fillMask(out: Float32Array, p: number, key: PhiloxKey, step: number, microBatch: number): void {
  const dropped = Math.round(p * 2 ** 16);
  const kept = 1 / (1 - p);
  for (let index = 0; index < out.length; index += ELEMENTS_PER_BLOCK) {
    const words = philox(key, [index / ELEMENTS_PER_BLOCK, microBatch, step, 2]);
    for (let word = 0; word < 4; word++) {
      const bits = words[word] ?? 0;
      // Writes past the end have no effect.
      out[index + 2 * word] = (bits & 0xffff) < dropped ? 0 : kept;
      out[index + 2 * word + 1] = bits >>> 16 < dropped ? 0 : kept;
    }
  }
}
