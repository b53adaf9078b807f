/** A Llama of SmolLM-135M's sizes with any number of layers, and rows of tokens: seeded random numbers, written once. */

import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "lora-tool/formats";
import { CACHE } from "./model.js";

const [WIDTH, MLP, VOCABULARY, HEADS, KEY_HEADS] = [576, 1536, 49_152, 9, 3];
const KEYS = (WIDTH / HEADS) * KEY_HEADS;
const [ROWS, LENGTH] = [40, 256];

/** Numbers below 2³², the same in every run. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
}

/** HF folder in f32. */
export function trainingBase(layers) {
  const folder = join(CACHE, `train-${layers}`);
  if (existsSync(folder)) return folder;
  const next = generator(12345);
  const random = (name, shape) => {
    const values = new Float32Array(shape[0] * shape[1]);
    for (let index = 0; index < values.length; index++) values[index] = (next() / 2 ** 32 - 0.5) * 0.07;
    return { name, dtype: "f32", shape, bytes: new Uint8Array(values.buffer) };
  };
  const ones = (name) => {
    return { name, dtype: "f32", shape: [WIDTH], bytes: new Uint8Array(new Float32Array(WIDTH).fill(1).buffer) };
  };
  const tensors = [random("model.embed_tokens.weight", [VOCABULARY, WIDTH]), ones("model.norm.weight")];
  for (let layer = 0; layer < layers; layer++) {
    const path = `model.layers.${layer}`;
    tensors.push(ones(`${path}.input_layernorm.weight`), ones(`${path}.post_attention_layernorm.weight`));
    for (const [name, out, input] of [
      ["self_attn.q_proj", WIDTH, WIDTH],
      ["self_attn.k_proj", KEYS, WIDTH],
      ["self_attn.v_proj", KEYS, WIDTH],
      ["self_attn.o_proj", WIDTH, WIDTH],
      ["mlp.gate_proj", MLP, WIDTH],
      ["mlp.up_proj", MLP, WIDTH],
      ["mlp.down_proj", WIDTH, MLP],
    ]) {
      tensors.push(random(`${path}.${name}.weight`, [out, input]));
    }
  }
  const unfinished = `${folder}.tmp`;
  mkdirSync(unfinished, { recursive: true });
  writeSafetensors(join(unfinished, "model.safetensors"), tensors, new Map([["format", "pt"]]));
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: WIDTH,
    intermediate_size: MLP,
    num_hidden_layers: layers,
    num_attention_heads: HEADS,
    num_key_value_heads: KEY_HEADS,
    vocab_size: VOCABULARY,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    hidden_act: "silu",
    torch_dtype: "float32",
  };
  writeFileSync(join(unfinished, "config.json"), JSON.stringify(config));
  renameSync(unfinished, folder);
  return folder;
}

export function trainingRows() {
  const path = join(CACHE, "train-rows.jsonl");
  const next = generator(1);
  const row = () => JSON.stringify({ input_ids: Array.from({ length: LENGTH }, () => next() % VOCABULARY) });
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(path, Array.from({ length: ROWS }, row).join("\n"));
  return path;
}
