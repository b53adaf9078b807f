import { describe, expect, it } from "vitest";
import { renamesFor } from "../../../src/adapters/architecture/renames.ts";
import { NameIndex } from "../../../src/adapters/resolve/names.ts";
import { tensor } from "./build.ts";

function find(path: string, base: readonly string[], types: readonly string[] = []) {
  const tensors = new Map(base.map((name) => [name, tensor(name, [1])]));
  const match = new NameIndex(tensors, renamesFor(new Set(types))).find(path);
  return match.kind === "one" ? match.tensor.name : match.kind === "many" ? match.names : undefined;
}

const Q = "layers.0.self_attn.q_proj.weight";

describe("NameIndex", () => {
  it.each([
    ["the same name", `model.${Q}`, [`model.${Q}`, `x.model.${Q}`], `model.${Q}`],
    ["a base without the wrapper", "transformer.h.0.mlp.c_fc.weight", ["h.0.mlp.c_fc.weight"], "h.0.mlp.c_fc.weight"],
    ["a base with one wrapper more", `model.${Q}`, [`text.model.${Q}`], `text.model.${Q}`],
    [
      "the order of today's transformers",
      `model.language_model.${Q}`,
      [`language_model.model.${Q}`],
      `language_model.model.${Q}`,
    ],
    [
      "the order of older transformers",
      `language_model.model.${Q}`,
      [`model.language_model.${Q}`],
      `model.language_model.${Q}`,
    ],
    ["a wrapper in the middle", `model.language_model.${Q}`, [`model.${Q}`], `model.${Q}`],
    [
      "a tower with its old wrapper",
      `model.vision_tower.encoder.${Q}`,
      [`vision_tower.vision_model.encoder.${Q}`, `language_model.model.${Q}`],
      `vision_tower.vision_model.encoder.${Q}`,
    ],
    [
      "a tower inside of another wrapper",
      `vision_model.encoder.${Q}`,
      [`clip.vision.vision_model.encoder.${Q}`],
      `clip.vision.vision_model.encoder.${Q}`,
    ],
    [
      "the head of a wrapped language model",
      "lm_head.weight",
      ["language_model.lm_head.weight"],
      "language_model.lm_head.weight",
    ],
  ])("finds %s", (_, path, base, wanted) => {
    expect(find(path, base)).toBe(wanted);
  });

  it.each([
    ["mixtral", "model.layers.0.mlp.gate.weight", "model.layers.0.block_sparse_moe.gate.weight"],
    ["phimoe", "model.layers.0.mlp.router.weight", "model.layers.0.block_sparse_moe.gate.weight"],
    ["granitemoe", "x.block_sparse_moe.experts.gate_up_proj", "x.block_sparse_moe.input_linear.weight"],
    ["gpt_neox", "lm_head.weight", "embed_out.weight"],
    ["vit", "vit.layers.0.attention.q_proj.weight", "vit.encoder.layer.0.attention.attention.query.weight"],
    ["vit", "vit.layers.0.mlp.fc2.bias", "vit.encoder.layer.0.output.dense.bias"],
    ["bert", "bert.LayerNorm.weight", "bert.LayerNorm.gamma"],
  ])("knows how %s is renamed while it is loaded, either way round", (type, running, stored) => {
    expect(find(running, [stored], [type])).toBe(stored);
    expect(find(stored, [running], [type])).toBe(running);
  });

  it("does not rename in models of another type", () => {
    expect(
      find("model.layers.0.mlp.gate.weight", ["model.layers.0.block_sparse_moe.gate.weight"], ["llama"]),
    ).toBeUndefined();
  });

  it("lists the candidates where several names fit equally", () => {
    expect(find(Q, [`a.${Q}`, `b.${Q}`])).toEqual([`a.${Q}`, `b.${Q}`]);
    expect(find(`model.${Q}`, [`language_model.${Q}`, `llm.${Q}`])).toEqual([`language_model.${Q}`, `llm.${Q}`]);
  });

  it.each([
    ["another layer", `model.${Q}`, [`model.${Q.replace("0", "10")}`]],
    ["a part of a name", `model.${Q}`, [`model.x${Q}`]],
    ["the text of a base for a vision tower", `vision_tower.${Q}`, [Q]],
    ["a vision tower for the text of a base", `model.${Q}`, [`model.vision.model.${Q}`]],
    ["an audio tower for a bare name", Q, [`thinker.audio_tower.${Q}`]],
    ["a bare weight", "a.b.weight", ["weight", "b.x.weight"]],
  ])("does not take %s", (_, path, base) => {
    expect(find(path, base)).toBeUndefined();
  });

  it("keeps hostile names apart from the prototype of objects", () => {
    expect(find("__proto__.weight", ["constructor.weight"])).toBeUndefined();
  });
});
