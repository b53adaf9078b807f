/** The models and adapters of the benchmarks: right shapes, random numbers, written once. */

import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeHeader } from "lora-tool/formats";

export const CACHE = join(tmpdir(), "lora-tool-bench");

const LAYERS = 22;
const HIDDEN = 2048;
const KEYS = 256;
const MLP = 5632;
const VOCABULARY = 32_000;

/** [out, in] of the linear layers of one block, in the shapes of TinyLlama 1.1B. */
export const LINEARS = [
  ["self_attn.q_proj", HIDDEN, HIDDEN],
  ["self_attn.k_proj", KEYS, HIDDEN],
  ["self_attn.v_proj", KEYS, HIDDEN],
  ["self_attn.o_proj", HIDDEN, HIDDEN],
  ["mlp.gate_proj", MLP, HIDDEN],
  ["mlp.up_proj", MLP, HIDDEN],
  ["mlp.down_proj", HIDDEN, MLP],
];

export const LAYER_COUNT = LAYERS;

/** HF folder of a base, 1.1 B parameters in bf16; of another name, with other numbers. */
export function baseModel(name = "base-1.1b-bf16") {
  const folder = join(CACHE, name);
  return make(folder, () => {
    const entries = [
      ["model.embed_tokens.weight", [VOCABULARY, HIDDEN]],
      ["lm_head.weight", [VOCABULARY, HIDDEN]],
      ["model.norm.weight", [HIDDEN]],
    ];
    for (let layer = 0; layer < LAYERS; layer++) {
      const block = `model.layers.${layer}`;
      for (const [name, out, input] of LINEARS) entries.push([`${block}.${name}.weight`, [out, input]]);
      for (const norm of ["input_layernorm", "post_attention_layernorm"])
        entries.push([`${block}.${norm}.weight`, [HIDDEN]]);
    }
    writeTensors(join(folder, "model.safetensors"), "bf16", entries, { format: "pt" });
    writeFileSync(
      join(folder, "config.json"),
      JSON.stringify({
        architectures: ["LlamaForCausalLM"],
        model_type: "llama",
        hidden_size: HIDDEN,
        intermediate_size: MLP,
        num_hidden_layers: LAYERS,
        num_attention_heads: 32,
        num_key_value_heads: 4,
        vocab_size: VOCABULARY,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: false,
        torch_dtype: "bfloat16",
      }),
    );
  });
}

/** PEFT folder of an adapter on all linear layers, f32. */
export function adapter(rank) {
  const folder = join(CACHE, `adapter-r${rank}`);
  return make(folder, () => {
    const entries = [];
    for (let layer = 0; layer < LAYERS; layer++) {
      for (const [name, out, input] of LINEARS) {
        const prefix = `base_model.model.model.layers.${layer}.${name}`;
        entries.push([`${prefix}.lora_A.weight`, [rank, input]], [`${prefix}.lora_B.weight`, [out, rank]]);
      }
    }
    writeTensors(join(folder, "adapter_model.safetensors"), "f32", entries, { format: "pt" });
    writeFileSync(
      join(folder, "adapter_config.json"),
      JSON.stringify({
        peft_type: "LORA",
        r: rank,
        lora_alpha: 16,
        use_rslora: true,
        target_modules: LINEARS.map(([name]) => name.split(".")[1]),
        task_type: "CAUSAL_LM",
        base_model_name_or_path: "bench",
      }),
    );
  });
}

export function make(folder, write) {
  if (existsSync(join(folder, "done"))) return folder;
  mkdirSync(folder, { recursive: true });
  console.log(`making ${folder}`);
  write();
  writeFileSync(join(folder, "done.tmp"), "");
  renameSync(join(folder, "done.tmp"), join(folder, "done"));
  return folder;
}

/** Numbers about N(0, 0.02²) in size: one random block, repeated. */
function writeTensors(path, dtype, shapes, metadata) {
  const entries = shapes.map(([name, shape]) => ({ name, dtype, shape }));
  const width = dtype === "bf16" ? 2 : 4;
  const floats = Float32Array.from({ length: 1 << 22 }, () => (Math.random() - 0.5) * 0.07);
  const halves = new Uint16Array(floats.buffer).filter((_, index) => index % 2 === 1);
  const block = new Uint8Array((width === 2 ? halves : floats).buffer);
  const fd = openSync(path, "w");
  writeSync(fd, encodeHeader(entries, new Map(Object.entries(metadata))));
  let left = shapes.reduce((sum, [, shape]) => sum + shape.reduce((product, size) => product * size, 1) * width, 0);
  for (; left > 0; left -= block.length) writeSync(fd, block, 0, Math.min(left, block.length));
  closeSync(fd);
}
