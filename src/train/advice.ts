/**
 * What rank, alpha, convention and optimiser do to the first step, and the learning rate that this suggests.
 *
 * At the start B = 0, so a step changes a layer's output by γ · ΔB · h with h = A x, h of the same size whatever the rank.
 * - SGD: ΔB = −η γ δ hᵀ, so the output moves by −η γ² δ (hᵀh), and hᵀh ∝ r: ∝ η γ² r. Under α/√r that is free of the rank, under
 *   α/r it falls as 1/r (rsLoRA, arXiv 2312.03732).
 * - AdamW: ΔB = −η sign(δ) sign(h)ᵀ, so the output moves by −η γ sign(δ) Σ|h|, and Σ|h| ∝ r: ∝ η γ r. Under α/r that is free of
 *   the rank, under α/√r it grows as √r.
 *
 * The rate to start from is Thinking Machines' ("LoRA Without Regret", 2025, and Tinker's documentation): under α/r with
 * α = 32, 5e-4 · (2000 / width)^p, p from 0.08 (Qwen) to 0.78 (Llama), whatever the rank.
 */

import type { Convention } from "../adapters/adapter.ts";
import { effectiveScale } from "../adapters/scale.ts";
import type { OptimizerName } from "./optimise/optimizer.ts";

export interface AdviceQuestion {
  readonly rank: number;
  readonly alpha: number;
  readonly convention: Convention;
  readonly optimizer: OptimizerName;
  /** Of the model's hidden states. */
  readonly width: number;
  readonly learningRate: number;
}

export interface Advice {
  readonly scale: number;
  /**
   * The effect of the first step at a given learning rate, in units of what alpha 32 has under the convention where the rank
   * does not matter: alpha / rank for AdamW, alpha / √rank for SGD.
   */
  readonly firstStep: number;
  /** Learning rates that suit; none for SGD, whose steps are as large as the gradient. */
  readonly rates: readonly [number, number] | undefined;
  /** What the choice means, a finished line each. */
  readonly facts: readonly string[];
  readonly warnings: readonly string[];
}

const REFERENCE_ALPHA = 32;
const REFERENCE_RATE = 5e-4;
const REFERENCE_WIDTH = 2000;
/** How the best rate falls with the model's width: Qwen's models and Llama's. */
const WIDTH_POWERS = [0.0775, 0.781] as const;

/** Scales that are in use: QLoRA's 16/64 and Microsoft's 20 for GPT-3 lie at the ends. */
const [LOWEST_SCALE, HIGHEST_SCALE] = [0.2, 20];
/** How far outside of the suggested rates a rate is before it is remarked on. */
const TOLERANCE = 3;

/** Which power of the scale the first step has. */
const SCALE_POWERS: Record<OptimizerName, number> = { adamw: 1, sgd: 2 };

export function adviseLearningRate(question: AdviceQuestion): Advice {
  const { rank, alpha, convention, optimizer, width, learningRate } = question;
  const scale = effectiveScale(convention, alpha, rank);
  const power = SCALE_POWERS[optimizer];
  const firstStep = (scale ** power * rank) / REFERENCE_ALPHA ** power;
  const rates = optimizer === "adamw" ? ratesFor(width, firstStep) : undefined;
  const facts = [LAWS[optimizer][convention](rank)];
  if (rates !== undefined) {
    facts.push(
      `learning rates from ${inWords(rates[0])} to ${inWords(rates[1])} suit: those of alpha 32 under alpha / rank, divided by ${inWords(firstStep)}`,
    );
  }
  return { scale, firstStep, rates, facts, warnings: [...scaleWarnings(scale), ...rateWarnings(learningRate, rates)] };
}

function ratesFor(width: number, firstStep: number): readonly [number, number] {
  const rates = WIDTH_POWERS.map((power) => (REFERENCE_RATE * (REFERENCE_WIDTH / width) ** power) / firstStep);
  return [Math.min(...rates), Math.max(...rates)];
}

const LAWS: Record<OptimizerName, Record<Convention, (rank: number) => string>> = {
  adamw: {
    lora: () => "under alpha / rank AdamW's first step has the same effect at every rank",
    rslora: (rank) =>
      `under alpha / √rank AdamW's first step grows with √rank, here to ${inWords(Math.sqrt(rank))} times that of alpha / rank: lower the rate by as much, or warm up`,
  },
  sgd: {
    lora: (rank) =>
      `under alpha / rank SGD's first step falls as 1 / rank, here to ${inWords(1 / rank)} of that at rank 1`,
    rslora: () => "under alpha / √rank SGD's first step has the same effect at every rank",
  },
};

function scaleWarnings(scale: number): string[] {
  if (scale < LOWEST_SCALE)
    return [`the scale is ${inWords(scale)}: the adapter will hardly be heard; raise alpha, or use rslora`];
  if (scale > HIGHEST_SCALE) return [`the scale is ${inWords(scale)}: training is likely to diverge; lower alpha`];
  return [];
}

function rateWarnings(rate: number, rates: readonly [number, number] | undefined): string[] {
  if (rates === undefined) return [];
  const [low, high] = rates;
  const range = `${inWords(low)} to ${inWords(high)}`;
  if (rate > high * TOLERANCE) {
    return [
      `a learning rate of ${inWords(rate)} is ${inWords(rate / high)} times above what suits (${range}): training may diverge`,
    ];
  }
  if (rate > 0 && rate < low / TOLERANCE) {
    return [
      `a learning rate of ${inWords(rate)} is ${inWords(low / rate)} times below what suits (${range}): training may be slow`,
    ];
  }
  return [];
}

/** Two digits. */
function inWords(value: number): string {
  return String(Number(value.toPrecision(2)));
}
