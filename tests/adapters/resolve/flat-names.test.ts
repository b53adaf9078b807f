import { describe, expect, test } from "vitest";
import { FlatNameIndex } from "../../../src/adapters/resolve/flat-names.ts";
import { tensor } from "./build.ts";

function find(path: string, ...names: readonly string[]) {
  const match = new FlatNameIndex(new Map(names.map((name) => [name, tensor(name, [1])]))).find(path);
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

  test("of two tensors is never guessed", () => {
    expect(find("lora_unet_a_b_c.weight", "a.b_c.weight", "a_b.c.weight")).toEqual(["a.b_c.weight", "a_b.c.weight"]);
    expect(find("lora_unet_a.weight", "a.weight", "unet.a.weight")).toHaveLength(2);
  });
});
