import { describe, expect, test } from "vitest";
import { renamesFor } from "../../../src/adapters/architecture/renames.ts";
import { PipelineNames } from "../../../src/adapters/resolve/pipeline-names.ts";
import { tensor } from "./build.ts";

function find(path: string, ...names: readonly string[]) {
  const tensors = new Map(names.map((name) => [name, tensor(name, [1])]));
  const match = new PipelineNames(tensors, []).find(path);
  return match.kind === "one" ? match.tensor.name : match.kind === "many" ? match.names : undefined;
}

describe("a flat name", () => {
  test.each([
    ["lora_unet_mid_block_proj_in.weight", "mid_block.proj_in.weight"],
    ["lora_unet_mid_block_proj_in.bias", "unet.mid_block.proj_in.bias"],
    ["lora_unet_input_blocks_1_0.weight", "model.diffusion_model.input_blocks.1.0.weight"],
    ["lora_te_text_model_fc1.weight", "cond_stage_model.transformer.text_model.fc1.weight"],
    ["lora_te1_text_model_fc1.weight", "conditioner.embedders.0.transformer.text_model.fc1.weight"],
    ["lora_te2_text_model_fc1.weight", "text_encoder_2.text_model.fc1.weight"],
    ["lora_te3_encoder_block_0.weight", "text_encoders.t5xxl.transformer.encoder.block.0.weight"],
    ["lycoris_model_layers_0_q_proj.weight", "model.layers.0.q_proj.weight"],
  ])("%s is %s", (path, name) => {
    expect(find(path, name, "other.weight")).toBe(name);
  });

  test.each([
    ["lora_te1_text_model_fc1.weight", "conditioner.embedders.1.transformer.text_model.fc1.weight"],
    ["lora_te2_text_model_fc1.weight", "text_encoder.text_model.fc1.weight"],
    ["lora_unet_mid_block.weight", "text_encoder.mid_block.weight"],
    ["lora_unet_mid_block.weight", "up.mid_block.weight"],
    ["lora_unet_mid_block.weight", "mid_block.bias"],
    ["something_mid_block.weight", "mid_block.weight"],
  ])("%s is not %s", (path, name) => {
    expect(find(path, name)).toBeUndefined();
  });

  test("is made of the names of the running model, whose files may have older ones", () => {
    const name = "vit.encoder.layer.0.output.dense.weight";
    const renames = renamesFor(new Set(["vit"]));
    const names = new PipelineNames(new Map([[name, tensor(name, [1])]]), renames);
    for (const flat of ["lycoris_vit_layers_0_mlp_fc2.weight", "lycoris_vit_encoder_layer_0_output_dense.weight"]) {
      expect(names.find(flat)).toMatchObject({ kind: "one", tensor: { name } });
    }
  });

  test("of two tensors is never guessed", () => {
    expect(find("lora_unet_a_b_c.weight", "a.b_c.weight", "a_b.c.weight")).toEqual(["a.b_c.weight", "a_b.c.weight"]);
    expect(find("lora_unet_a.weight", "a.weight", "unet.a.weight")).toHaveLength(2);
  });
});

describe("a path is known by its names in both worlds:", () => {
  test.each([
    ["lora_unet_down_blocks_1_attentions_0_proj_in", "model.diffusion_model.input_blocks.4.1.proj_in"],
    ["lora_unet_input_blocks_4_1_proj_in", "down_blocks.1.attentions.0.proj_in"],
    ["unet.down_blocks.0.downsamplers.0.conv", "model.diffusion_model.input_blocks.3.0.op"],
    ["unet.up_blocks.0.upsamplers.0.conv", "model.diffusion_model.output_blocks.2.1.conv"],
    ["unet.up_blocks.1.upsamplers.0.conv", "diffusion_model.output_blocks.5.2.conv"],
    ["unet.mid_block.resnets.1.conv2", "model.diffusion_model.middle_block.2.out_layers.3"],
    ["unet.up_blocks.3.resnets.2.conv_shortcut", "model.diffusion_model.output_blocks.11.0.skip_connection"],
    ["lora_unet_time_embedding_linear_2", "model.diffusion_model.time_embed.2"],
    ["unet.conv_out", "model.diffusion_model.out.2"],
    [
      "text_encoder.text_model.encoder.layers.3.mlp.fc1",
      "cond_stage_model.transformer.text_model.encoder.layers.3.mlp.fc1",
    ],
    ["lora_te_text_model_encoder_layers_3_mlp_fc1", "cond_stage_model.model.transformer.resblocks.3.mlp.c_fc"],
    [
      "lora_te2_text_model_encoder_layers_3_mlp_fc2",
      "conditioner.embedders.1.model.transformer.resblocks.3.mlp.c_proj",
    ],
    ["transformer.transformer_blocks.4.ff.net.0.proj", "double_blocks.4.img_mlp.0"],
    ["transformer.transformer_blocks.4.ff.net.0.proj", "model.diffusion_model.joint_blocks.4.x_block.mlp.fc1"],
    ["lora_unet_single_blocks_7_linear2", "single_transformer_blocks.7.proj_out"],
    ["diffusion_model.double_blocks.1.img_mod.lin", "transformer_blocks.1.norm1.linear"],
  ])("%s is %s", (path, name) => {
    expect(find(`${path}.weight`, `${name}.weight`, "other.weight")).toBe(`${name}.weight`);
    expect(find(`${path}.bias`, `${name}.bias`, "other.bias")).toBe(`${name}.bias`);
  });
});

describe("a layer that the base fuses or splits", () => {
  const fusedOf = (path: string, ...names: readonly string[]) => {
    const tensors = new Map(names.map((name) => [name, tensor(name, [12, 2])]));
    const found = new PipelineNames(tensors, []).findFused(path);
    return found && { ...found, tensors: found.tensors.map(({ name }) => name) };
  };

  test("is a part of one tensor", () => {
    const qkv = "model.diffusion_model.double_blocks.0.img_attn.qkv.weight";
    const part = { tensors: [qkv], index: 1, shares: [1, 1, 1] };
    expect(fusedOf("transformer.transformer_blocks.0.attn.to_k", qkv)).toEqual(part);
    const projection = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight";
    const value = { tensors: [projection], index: 2, shares: [1, 1, 1] };
    expect(fusedOf("lora_te2_text_model_encoder_layers_0_self_attn_v_proj", projection)).toEqual(value);
    const linear = "single_blocks.3.linear1.weight";
    const mlp = { tensors: [linear], index: 3, shares: [1, 1, 1, 4] };
    expect(fusedOf("transformer.single_transformer_blocks.3.proj_mlp", linear)).toEqual(mlp);
  });

  test("is several tensors, in order, and nothing while one of them is missing", () => {
    const parts = ["to_q", "to_k", "to_v"].map((name) => `transformer_blocks.0.attn.${name}.weight`);
    const whole = { tensors: parts, index: undefined, shares: [1, 1, 1] };
    expect(fusedOf("lora_unet_double_blocks_0_img_attn_qkv", ...parts)).toEqual(whole);
    expect(fusedOf("diffusion_model.joint_blocks.0.x_block.attn.qkv", ...parts)).toEqual(whole);
    expect(fusedOf("lora_unet_double_blocks_0_img_attn_qkv", ...parts.slice(1))).toBeUndefined();
  });
});
