import { expect, test } from "vitest";
import { unflatten } from "../../../src/adapters/architecture/pipeline/known-paths.ts";

test.each([
  [
    "unet",
    "down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0",
    "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0",
  ],
  ["unet", "mid_block_resnets_0_time_emb_proj", "mid_block.resnets.0.time_emb_proj"],
  [
    "unet",
    "input_blocks_4_1_transformer_blocks_0_ff_net_0_proj",
    "input_blocks.4.1.transformer_blocks.0.ff.net.0.proj",
  ],
  ["unet", "time_embedding_linear_1", "time_embedding.linear_1"],
  ["unet", "double_blocks_12_img_attn_qkv", "double_blocks.12.img_attn.qkv"],
  ["unet", "joint_blocks_3_context_block_mlp_fc1", "joint_blocks.3.context_block.mlp.fc1"],
  ["transformer", "single_transformer_blocks_7_norm_linear", "single_transformer_blocks.7.norm.linear"],
  [
    "text_encoder",
    "text_model_encoder_layers_11_self_attn_out_proj",
    "text_model.encoder.layers.11.self_attn.out_proj",
  ],
  ["text_encoder_3", "encoder_block_23_layer_1_DenseReluDense_wi_0", "encoder.block.23.layer.1.DenseReluDense.wi_0"],
  ["", "model_layers_10_self_attn_q_proj", "model.layers.10.self_attn.q_proj"],
])("in %s, %s is %s", (component, flat, path) => {
  expect(unflatten(component, flat)).toEqual([path]);
});

test("what no known architecture has stands for nothing", () => {
  expect(unflatten("unet", "something_else")).toEqual([]);
  expect(unflatten("unet", "model_layers_0_self_attn_q_proj")).toEqual([]);
  expect(unflatten("no_part", "conv_in")).toEqual([]);
});
