/**
 * What a run tells while it goes on, as plain values.
 */

export interface Evaluation {
  /** Mean over all scored tokens of the evaluation data, in nats. */
  readonly loss: number;
  /** e^loss */
  readonly perplexity: number;
  readonly isBest: boolean;
}

export interface StepEvent {
  readonly kind: "step";
  /** From 1. */
  readonly step: number;
  readonly totalSteps: number;
  /** Mean over the scored tokens of the step, in nats. */
  readonly loss: number;
  /** Of all gradients as one vector, before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Scored tokens. */
  readonly tokens: number;
  /** Scored. */
  readonly tokensPerSecond: number;
  /** Positions that were computed, padding too, and the time that took. */
  readonly positions: number;
  readonly seconds: number;
  /** Of the gradients of each trained module, in the order of the report. */
  readonly moduleGradNorms: readonly number[];
  /** With the tensors that the step left. */
  readonly evaluation: Evaluation | undefined;
}

export interface CheckpointEvent {
  readonly kind: "checkpoint";
  readonly step: number;
  readonly path: string;
}

/** What is odd; a finished, escaped line. */
export interface WarningEvent {
  readonly kind: "warning";
  readonly message: string;
}

export type TrainEvent = StepEvent | CheckpointEvent | WarningEvent;
