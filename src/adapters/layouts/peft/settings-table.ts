/**
 * Every setting that PEFT 0.21.2 and its forerunners write for the adapter types read here, and what becomes of it.
 *
 * `read`: decides something; `refused`: not supported when it is set (`unsupported.ts`); `harmless`: has no part in what a
 * trained adapter computes, with the reason. A setting that is not in the table and is set to something is refused, where
 * PEFT itself only warns: it may change the maths.
 */

const TRAINING = "harmless: steers training only";
const ORIGIN = "harmless: says where the adapter comes from";
const INITIALISATION = "harmless: settings of an initialisation, which init_lora_weights chooses";

export const SETTINGS = {
  // Every type.
  peft_type: "read",
  peft_version: "read",
  base_model_name_or_path: "read",
  auto_mapping: "read",
  revision: ORIGIN,
  task_type: "harmless: modules_to_save that PEFT adds for it are in the weights file",
  inference_mode: TRAINING,
  target_modules: "read",
  exclude_modules: "read",
  modules_to_save: "read",
  layers_to_transform: "read",
  layers_pattern: "read",

  // LoRA and AdaLoRA.
  r: "read",
  lora_alpha: "read",
  rank_pattern: "read",
  alpha_pattern: "read",
  use_rslora: "read",
  use_dora: "read",
  lora_bias: "read",
  fan_in_fan_out: "read",
  init_lora_weights: "read",
  trainable_token_indices: "read",
  target_parameters: "read",
  ensure_weight_tying: "read",
  use_bdlora: "read",
  init_r: "read",
  lora_dropout: TRAINING,
  bias: "harmless: trained biases are in the weights file",
  velora_config: "harmless: VeLoRA changes the backward pass only",
  monteclora_config: "harmless: MonteCLoRA samples in training only",
  runtime_config: "harmless: where training computes",
  merge_weights: "harmless: a switch of early versions, for evaluation",
  loftq_config: INITIALISATION,
  eva_config: INITIALISATION,
  corda_config: INITIALISATION,
  lora_ga_config: INITIALISATION,
  qalora_group_size: "harmless: counts only with use_qalora",
  megatron_core: "read",
  megatron_config: "refused",
  layer_replication: "refused",
  alora_invocation_tokens: "refused",
  arrow_config: "refused",
  use_qalora: "refused",
  kasa_config: "refused",
  enable_lora: "refused",
  // ModelScope's SWIFT.
  lora_dtype: TRAINING,
  lorap_lr_ratio: TRAINING,
  lorap_emb_lr: TRAINING,
  target_r: TRAINING,
  tinit: TRAINING,
  tfinal: TRAINING,
  deltaT: TRAINING,
  beta1: TRAINING,
  beta2: TRAINING,
  orth_reg_weight: TRAINING,
  total_step: TRAINING,

  // LoHa and LoKr.
  alpha: "read",
  rank_dropout: TRAINING,
  rank_dropout_scale: TRAINING,
  module_dropout: TRAINING,
  init_weights: TRAINING,
  use_effective_conv2d: "harmless: the tensors show it",
  decompose_both: "harmless: the tensors show it",
  decompose_factor: "harmless: the tensors show it",

  // IA3.
  feedforward_modules: "read",
  init_ia3_weights: TRAINING,

  // VeRA.
  save_projection: "harmless: the tensors show it",
  projection_prng_key: "harmless: seed of the projections, which are in the file or are refused",
  vera_dropout: TRAINING,
  d_initial: TRAINING,

  // Trainable tokens.
  token_indices: "read",
} as const;

export type KnownSetting = keyof typeof SETTINGS;

/** Whether a key is in the table. */
export function isKnownSetting(key: string): key is KnownSetting {
  return Object.hasOwn(SETTINGS, key);
}
