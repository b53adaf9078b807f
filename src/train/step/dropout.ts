/**
 * Dropout masks as a pure function of (seed, step, micro-batch, module), so that a run that resumes drops the same inputs.
 */

import { fillUniform, philoxKey } from "../../core/random.ts";
import { elementCount } from "../../core/shape.ts";
import type { EngineTensor } from "../../engine/tensor.ts";
import type { DropoutMask } from "./step-graph.ts";

/** Elements that one micro-batch may need of one module: far above any. */
const MICRO_BATCH_STRIDE = 2 ** 40;

/** Each element is kept with probability 1 − p and then multiplied by 1/(1 − p). */
export function dropoutMasks(
  masks: readonly DropoutMask[],
  p: number,
  { seed, step, microBatch }: { readonly seed: number; readonly step: number; readonly microBatch: number },
): Map<string, EngineTensor> {
  const kept = 1 / (1 - p);
  return new Map(
    masks.map(({ input, shape }) => {
      const data = new Float32Array(elementCount(shape) ?? 0);
      fillUniform(data, philoxKey(seed, `dropout ${input}`), step, microBatch * MICRO_BATCH_STRIDE);
      for (let index = 0; index < data.length; index++) data[index] = (data[index] ?? 0) < p ? 0 : kept;
      return [input, { dtype: "f32", shape, data }];
    }),
  );
}
