/**
 * What a training run leaves behind for its report: settings in words, the modules that were trained, one record a step.
 */

import type { Convention } from "../../adapters/adapter.ts";

export interface RunRecord {
  /** What was trained on what; names from files may stand in it, unescaped. */
  readonly title: string;
  /** Flags and facts worth reading again, in words, in the order in which they are shown. */
  readonly settings: ReadonlyMap<string, string>;
  readonly modules: readonly TrainedModule[];
  readonly steps: readonly StepRecord[];
}

export interface TrainedModule {
  readonly name: string;
  readonly rank: number;
  readonly alpha: number;
  readonly convention: Convention;
  /** alpha / rank or alpha / √rank: the factor in front of up · down. */
  readonly scale: number;
}

export interface StepRecord {
  /** From 1. */
  readonly step: number;
  /** Mean over the scored tokens of the step, in nats. */
  readonly loss: number;
  /** L2 norm over all gradients, before clipping. */
  readonly gradNorm: number;
  /** What the step multiplied its update by. */
  readonly learningRate: number;
  /** Scored tokens of the step. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** L2 norm over the gradients of each module of the run, in its order, before clipping; empty where not recorded. */
  readonly moduleGradNorms: readonly number[];
  /** Mean over the scored tokens of the evaluation data after this step, in nats; absent where there was none. */
  readonly evalLoss?: number | undefined;
}
