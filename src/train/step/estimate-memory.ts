/**
 * The memory that a run will take, from shapes alone.
 */

import { elementCount } from "../../core/shape.ts";
import { peakBytes } from "../../graph/peak-memory.ts";
import { MOMENTS } from "../optimise/optimizer.ts";
import type { TrainSettings } from "../settings.ts";
import { buildStepGraph, type StepGraphOptions } from "./step-graph.ts";

export interface MemoryEstimate {
  /** Of the base, in f32. */
  readonly weights: number;
  /** Trained values, their gradients and the optimiser's moments. */
  readonly trained: number;
  /** Values that one step of the largest batch holds at a time. */
  readonly step: number;
}

/** @param trainable elements that are trained */
export function estimateMemory(
  options: Omit<StepGraphOptions, "gradients">,
  trainable: number,
  { optimiser, run }: TrainSettings,
): MemoryEstimate {
  const { graph } = buildStepGraph({ ...options, gradients: true });
  const elements = Array.from(options.base.weights.values(), ({ shape }) => elementCount(shape) ?? 0);
  const copies = 2 + MOMENTS[optimiser.optimizer] + (run.gradAccum > 1 ? 1 : 0);
  return {
    weights: 4 * elements.reduce((sum, count) => sum + count, 0),
    trained: 4 * trainable * copies,
    step: peakBytes(graph),
  };
}
