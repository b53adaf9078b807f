/** A made-up run with everything that a report shows, hostile names included. */

import { effectiveScale } from "../../../src/adapters/scale.ts";
import type { RunRecord, StepRecord, TrainedModule } from "../../../src/train/report/run-record.ts";

export const HOSTILE_NAME = "model.layers.0.</script><img src=x onerror=alert(1)>\u202e<!--";

const NAMES = [0, 1].flatMap((layer) =>
  ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"].map((name) => `model.layers.${layer}.${name}`),
);

export function sampleRun(count: number): RunRecord {
  const modules = [...NAMES, HOSTILE_NAME].map((name, index): TrainedModule => {
    const rank = index < 3 ? 8 : 16;
    return { name, rank, alpha: 16, convention: "rslora", scale: effectiveScale("rslora", 16, rank) };
  });
  const steps = Array.from({ length: count }, (_, index): StepRecord => {
    const falling = Math.exp(-index / 40);
    return {
      step: index + 1,
      loss: 1.2 + 2 * falling + 0.1 * Math.sin(index * 7),
      gradNorm: 0.5 + falling,
      learningRate: 1e-3 * (1 - index / count),
      tokens: 2000,
      tokensPerSecond: 5000 + 100 * Math.cos(index),
      moduleGradNorms: modules.map((_, module) => (module + 1) * 0.1 * falling),
      ...(index % 40 === 39 && { evalLoss: 1.3 + 2 * falling }),
    };
  });
  const settings = new Map([
    ["base", "<b>stories260K</b>"],
    ["optimizer", "adamw"],
  ]);
  return { title: `rsLoRA on ${HOSTILE_NAME}`, settings, modules, steps };
}
