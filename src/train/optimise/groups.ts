/**
 * How a trained tensor's step differs from the others': LoRA+ and the tensors that weight decay leaves alone.
 */

import type { TrainedTensor } from "../adapter/trained-tensors.ts";
import type { OptimiserSettings } from "../settings.ts";

type Described = Pick<TrainedTensor, "name" | "module" | "part" | "shape">;

/** PEFT's own learning rate of embeddings under LoRA+. */
const LORA_PLUS_EMBEDDING_RATE = 1e-6;

/**
 * LoRA+ (arXiv 2402.12354; PEFT `create_loraplus_optimizer`): `up` and all vectors learn faster by the ratio, adapters of
 * embeddings at a small rate of their own.
 */
export function rateFactorOf(
  { part, shape }: Described,
  isEmbedding: boolean,
  { loraPlusRatio, learningRate }: OptimiserSettings,
): number {
  if (loraPlusRatio === 1) return 1;
  if (isEmbedding) return learningRate === 0 ? 0 : LORA_PLUS_EMBEDDING_RATE / learningRate;
  return part === "up" || shape.length === 1 ? loraPlusRatio : 1;
}

/** By transformers' `Trainer.get_decay_parameter_names`, which goes by names and by the class LayerNorm (`ln_f` of GPT-2). */
const WITHOUT_DECAY = /bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)/i;

/** Norms and biases, the vectors among a base's weights, do not decay; an adapter's own tensors do. */
export function weightDecayOf({ name, module, part, shape }: Described, { weightDecay }: OptimiserSettings): number {
  if (part === "whole" && shape.length === 1) return 0;
  return WITHOUT_DECAY.test(module) || WITHOUT_DECAY.test(name) ? 0 : weightDecay;
}
