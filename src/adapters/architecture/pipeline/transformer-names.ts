/**
 * Paths in the transformers of Flux and Stable Diffusion 3 and in OpenCLIP's text encoders: the original ones and those of
 * diffusers and transformers (diffusers 0.35 `scripts/convert_flux_to_diffusers.py`, `convert_sd3_to_diffusers.py`).
 *
 * Left out: modulations of Stable Diffusion 3's contexts, of which the last block's alone has its halves the other way round.
 */

import type { FusedPaths, PathPair } from "./path-pairs.ts";

const FLUX: readonly PathPair[] = [
  ["img_in", "x_embedder"],
  ["txt_in", "context_embedder"],
  ["time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"],
  ["time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"],
  ["vector_in.in_layer", "time_text_embed.text_embedder.linear_1"],
  ["vector_in.out_layer", "time_text_embed.text_embedder.linear_2"],
  ["guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"],
  ["guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"],
  ["double_blocks.*.img_mod.lin", "transformer_blocks.*.norm1.linear"],
  ["double_blocks.*.txt_mod.lin", "transformer_blocks.*.norm1_context.linear"],
  ["double_blocks.*.img_attn.proj", "transformer_blocks.*.attn.to_out.0"],
  ["double_blocks.*.txt_attn.proj", "transformer_blocks.*.attn.to_add_out"],
  ["double_blocks.*.img_mlp.0", "transformer_blocks.*.ff.net.0.proj"],
  ["double_blocks.*.img_mlp.2", "transformer_blocks.*.ff.net.2"],
  ["double_blocks.*.txt_mlp.0", "transformer_blocks.*.ff_context.net.0.proj"],
  ["double_blocks.*.txt_mlp.2", "transformer_blocks.*.ff_context.net.2"],
  ["single_blocks.*.modulation.lin", "single_transformer_blocks.*.norm.linear"],
  ["single_blocks.*.linear2", "single_transformer_blocks.*.proj_out"],
  ["final_layer.linear", "proj_out"],
];

const SD3: readonly PathPair[] = [
  ["x_embedder.proj", "pos_embed.proj"],
  ["context_embedder", "context_embedder"],
  ["t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"],
  ["t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"],
  ["y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"],
  ["y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"],
  ["joint_blocks.*.x_block.adaLN_modulation.1", "transformer_blocks.*.norm1.linear"],
  ["joint_blocks.*.x_block.attn.proj", "transformer_blocks.*.attn.to_out.0"],
  ["joint_blocks.*.x_block.attn2.proj", "transformer_blocks.*.attn2.to_out.0"],
  ["joint_blocks.*.context_block.attn.proj", "transformer_blocks.*.attn.to_add_out"],
  ["joint_blocks.*.x_block.mlp.fc1", "transformer_blocks.*.ff.net.0.proj"],
  ["joint_blocks.*.x_block.mlp.fc2", "transformer_blocks.*.ff.net.2"],
  ["joint_blocks.*.context_block.mlp.fc1", "transformer_blocks.*.ff_context.net.0.proj"],
  ["joint_blocks.*.context_block.mlp.fc2", "transformer_blocks.*.ff_context.net.2"],
  ["final_layer.linear", "proj_out"],
];

const OPEN_CLIP: readonly PathPair[] = [
  ["token_embedding", "text_model.embeddings.token_embedding"],
  ["ln_final", "text_model.final_layer_norm"],
  ["transformer.resblocks.*.ln_1", "text_model.encoder.layers.*.layer_norm1"],
  ["transformer.resblocks.*.ln_2", "text_model.encoder.layers.*.layer_norm2"],
  ["transformer.resblocks.*.attn.out_proj", "text_model.encoder.layers.*.self_attn.out_proj"],
  ["transformer.resblocks.*.mlp.c_fc", "text_model.encoder.layers.*.mlp.fc1"],
  ["transformer.resblocks.*.mlp.c_proj", "text_model.encoder.layers.*.mlp.fc2"],
];

/** The last modulation of both: (shift, scale) in the original, (scale, shift) in diffusers. */
const SWAPPED: PathPair = ["final_layer.adaLN_modulation.1", "norm_out.linear"];

/** Original first. */
export const PATH_PAIRS: readonly PathPair[] = [...FLUX, ...SD3, SWAPPED, ...OPEN_CLIP];

/** Whether two names, flat or not, are of the two worlds for one layer whose halves they have the other way round. */
export function swapsHalves(name: string, other: string): boolean {
  const [original, diffusers] = SWAPPED.map((path) => `.${path}`.replaceAll(".", "_"));
  const [first, second] = [name, other].map((path) => `.${path}`.replaceAll(".", "_"));
  const are = (a = "", b = "") => first?.endsWith(a) === true && second?.endsWith(b) === true;
  return are(original, diffusers) || are(diffusers, original);
}

const QUERY_KEY_VALUE = [1, 1, 1];

/** Wholes are original, parts of diffusers. */
export const FUSED_PATHS: readonly FusedPaths[] = [
  {
    whole: "double_blocks.*.img_attn.qkv",
    parts: ["to_q", "to_k", "to_v"].map((part) => `transformer_blocks.*.attn.${part}`),
    shares: QUERY_KEY_VALUE,
  },
  {
    whole: "double_blocks.*.txt_attn.qkv",
    parts: ["add_q_proj", "add_k_proj", "add_v_proj"].map((part) => `transformer_blocks.*.attn.${part}`),
    shares: QUERY_KEY_VALUE,
  },
  {
    whole: "single_blocks.*.linear1",
    parts: ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"].map((part) => `single_transformer_blocks.*.${part}`),
    shares: [1, 1, 1, 4],
  },
  {
    whole: "joint_blocks.*.x_block.attn.qkv",
    parts: ["to_q", "to_k", "to_v"].map((part) => `transformer_blocks.*.attn.${part}`),
    shares: QUERY_KEY_VALUE,
  },
  {
    whole: "joint_blocks.*.x_block.attn2.qkv",
    parts: ["to_q", "to_k", "to_v"].map((part) => `transformer_blocks.*.attn2.${part}`),
    shares: QUERY_KEY_VALUE,
  },
  {
    whole: "joint_blocks.*.context_block.attn.qkv",
    parts: ["add_q_proj", "add_k_proj", "add_v_proj"].map((part) => `transformer_blocks.*.attn.${part}`),
    shares: QUERY_KEY_VALUE,
  },
  {
    // Stored as in_proj_weight and in_proj_bias.
    whole: "transformer.resblocks.*.attn.in_proj",
    parts: ["q_proj", "k_proj", "v_proj"].map((part) => `text_model.encoder.layers.*.self_attn.${part}`),
    shares: QUERY_KEY_VALUE,
  },
];
