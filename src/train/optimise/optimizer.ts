/**
 * AdamW and SGD as torch 2.15 computes them (`torch/optim/adam.py` `_single_tensor_adam`, `sgd.py`), in its order of
 * operations and with a rounding to f32 where it stores a tensor:
 *
 * AdamW, step t = 1, 2, …: θ ← θ(1 − ηλ); m ← m + (1 − β₁)(g − m); v ← β₂v + (1 − β₂)g²;
 * θ ← θ − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε). SGD has no momentum: θ ← θ − η(g + λθ).
 */

export const OPTIMIZERS = ["adamw", "sgd"] as const;
export type OptimizerName = (typeof OPTIMIZERS)[number];

/** The algorithm and its constants. */
export interface StepRule {
  readonly optimizer: OptimizerName;
  readonly betas: readonly [number, number];
  readonly eps: number;
}

/** How one tensor is stepped. */
export interface ParameterGroup {
  /** Multiplies the learning rate (LoRA+). */
  readonly rateFactor: number;
  readonly weightDecay: number;
}

/** A trained tensor with what the optimiser remembers of it; everything is changed in place. */
export interface Parameter extends ParameterGroup {
  readonly name: string;
  readonly values: Float32Array;
  /** Of the same length; empty for SGD. */
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
}

/** How many moments an optimiser keeps for each element of a tensor. */
export const MOMENTS: Readonly<Record<OptimizerName, number>> = { adamw: 2, sgd: 0 };

/**
 * Applies one step to one tensor.
 *
 * @param gradient of the mean loss, before clipping
 * @param clip the factor that clips it
 * @param step counted from 1
 */
export function stepParameter(
  parameter: Parameter,
  gradient: Float32Array,
  clip: number,
  rate: number,
  step: number,
  rule: StepRule,
): void {
  const learningRate = rate * parameter.rateFactor;
  if (rule.optimizer === "sgd") stepSgd(parameter, gradient, clip, learningRate);
  else stepAdamW(parameter, gradient, clip, learningRate, step, rule);
}

const { fround, sqrt } = Math;

function stepSgd({ values, weightDecay }: Parameter, gradient: Float32Array, clip: number, rate: number): void {
  const [learningRate, decay] = [fround(rate), fround(weightDecay)];
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    const clipped = fround((gradient[index] as number) * clip);
    const decayed = weightDecay === 0 ? clipped : fround(clipped + value * decay);
    values[index] = value - decayed * learningRate;
  }
}

function stepAdamW(
  { values, firstMoment, secondMoment, weightDecay }: Parameter,
  gradient: Float32Array,
  clip: number,
  rate: number,
  step: number,
  { betas: [beta1, beta2], eps }: StepRule,
): void {
  const stepSize = fround(rate / (1 - beta1 ** step));
  const correction = fround(sqrt(1 - beta2 ** step));
  const keep = fround(1 - rate * weightDecay);
  const [toFirst, keepSecond, toSecond, epsilon] = [fround(1 - beta1), fround(beta2), fround(1 - beta2), fround(eps)];
  for (let index = 0; index < values.length; index++) {
    const clipped = fround((gradient[index] as number) * clip);
    const before = firstMoment[index] as number;
    const first = fround(before + toFirst * fround(clipped - before));
    const second = fround(fround((secondMoment[index] as number) * keepSecond) + fround(toSecond * clipped) * clipped);
    firstMoment[index] = first;
    secondMoment[index] = second;
    const denominator = fround(fround(fround(sqrt(second)) / correction) + epsilon);
    const value = weightDecay === 0 ? (values[index] as number) : fround((values[index] as number) * keep);
    values[index] = value - fround(stepSize * first) / denominator;
  }
}
