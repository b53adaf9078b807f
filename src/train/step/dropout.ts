/**
 * Dropout masks as a pure function of (seed, step, micro-batch, module), so that a run that resumes drops the same inputs.
 */

import { createMaskWriter, type MaskWriter } from "../../core/cast/random-mask.ts";
import { philoxKey } from "../../core/random.ts";
import { elementCount } from "../../core/shape.ts";
import type { EngineTensor } from "../../engine/tensor.ts";
import type { DropoutMask } from "./step-graph.ts";

/** Apart from what else is drawn from a seed. */
const DROPOUT_STREAM = 2;

let writer: MaskWriter | undefined;

/** Each element is kept with probability 1 − p and then multiplied by 1/(1 − p); p counts in steps of 2⁻¹⁶. */
export function dropoutMasks(
  masks: readonly DropoutMask[],
  p: number,
  { seed, step, microBatch }: { readonly seed: number; readonly step: number; readonly microBatch: number },
): Map<string, EngineTensor> {
  return new Map(
    masks.map(({ input, shape }) => {
      const data = new Float32Array(elementCount(shape) ?? 0);
      const key = philoxKey(seed, `dropout ${input}`);
      writer ??= createMaskWriter();
      writer.fill(data, p, { key, stream: [microBatch, step, DROPOUT_STREAM] });
      return [input, { dtype: "f32", shape, data }];
    }),
  );
}
