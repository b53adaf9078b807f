/**
 * Tensor names of llama.cpp → module paths of Hugging Face, by `general.architecture` (llama.cpp `gguf-py`
 * tensor_mapping.py). Architectures whose converter changes the weights of adapted layers in other ways are not here.
 */

import type { AdapterModule } from "../../adapter.ts";
import { withoutWrappers } from "../../resolve/names.ts";

export interface GgufModule {
  readonly name: string;
  readonly isEmbedding: boolean;
  readonly interleavedHeads: AdapterModule["interleavedHeads"];
  /** The layer of each expert (`gate_proj`), where all of them are one tensor; `name` is what their numbers follow. */
  readonly expertLayer: string | undefined;
}

interface NameTable {
  /** Path of the layers, to which the number is added. */
  readonly layers: string;
  /** Inside a layer. */
  readonly inside: ReadonlyMap<string, string>;
  readonly outside: ReadonlyMap<string, string>;
  /** Inside a layer, by tensor: where the experts lie, and the layer of each. */
  readonly experts?: ReadonlyMap<string, readonly [path: string, layer: string]>;
  /** The converter reorders the rows of queries and keys. */
  readonly reordersHeads: boolean;
}

const LLAMA: NameTable = {
  layers: "model.layers",
  inside: new Map([
    ["attn_q", "self_attn.q_proj"],
    ["attn_k", "self_attn.k_proj"],
    ["attn_v", "self_attn.v_proj"],
    ["attn_output", "self_attn.o_proj"],
    ["ffn_gate", "mlp.gate_proj"],
    ["ffn_up", "mlp.up_proj"],
    ["ffn_down", "mlp.down_proj"],
    // Mixtral's architecture is llama, too.
    ["ffn_gate_inp", "block_sparse_moe.gate"],
  ]),
  outside: new Map([
    ["token_embd", "model.embed_tokens"],
    ["output", "lm_head"],
  ]),
  experts: new Map([
    ["ffn_gate_exps", ["block_sparse_moe.experts", "w1"]],
    ["ffn_down_exps", ["block_sparse_moe.experts", "w2"]],
    ["ffn_up_exps", ["block_sparse_moe.experts", "w3"]],
  ]),
  reordersHeads: true,
};

const QWEN: NameTable = { ...LLAMA, reordersHeads: false };

const QWEN_MOE: NameTable = {
  ...QWEN,
  inside: new Map([
    ...LLAMA.inside,
    ["ffn_gate_inp", "mlp.gate"],
    ["ffn_gate_inp_shexp", "mlp.shared_expert_gate"],
    ["ffn_gate_shexp", "mlp.shared_expert.gate_proj"],
    ["ffn_up_shexp", "mlp.shared_expert.up_proj"],
    ["ffn_down_shexp", "mlp.shared_expert.down_proj"],
  ]),
  experts: new Map([
    ["ffn_gate_exps", ["mlp.experts", "gate_proj"]],
    ["ffn_up_exps", ["mlp.experts", "up_proj"]],
    ["ffn_down_exps", ["mlp.experts", "down_proj"]],
  ]),
};

const PHI3: NameTable = {
  ...QWEN,
  inside: new Map([
    ["attn_qkv", "self_attn.qkv_proj"],
    ["attn_output", "self_attn.o_proj"],
    ["ffn_up", "mlp.gate_up_proj"],
    ["ffn_down", "mlp.down_proj"],
  ]),
};

const GPT2: NameTable = {
  layers: "transformer.h",
  inside: new Map([
    ["attn_qkv", "attn.c_attn"],
    ["attn_output", "attn.c_proj"],
    ["ffn_up", "mlp.c_fc"],
    ["ffn_down", "mlp.c_proj"],
  ]),
  outside: new Map([
    ["token_embd", "transformer.wte"],
    ["output", "lm_head"],
  ]),
  reordersHeads: false,
};

const TABLES: ReadonlyMap<string, NameTable> = new Map([
  ["llama", LLAMA],
  ["qwen2", QWEN],
  ["qwen3", QWEN],
  ["qwen2moe", QWEN_MOE],
  ["qwen3moe", QWEN_MOE],
  ["gemma", QWEN],
  ["gemma2", QWEN],
  ["gemma3", QWEN],
  ["phi3", PHI3],
  ["gpt2", GPT2],
]);

/** The architectures whose names are known. */
export const GGUF_ARCHITECTURES: readonly string[] = [...TABLES.keys()];

/**
 * The module behind a tensor name without `.weight`, e.g. `blk.0.attn_q`; `undefined` when the architecture has none.
 *
 * @param architecture one of `GGUF_ARCHITECTURES`
 */
export function ggufModule(architecture: string, tensor: string): GgufModule | undefined {
  const table = TABLES.get(architecture);
  const [, layer, inner = ""] = /^blk\.(\d+)\.(\w+)$/.exec(tensor) ?? [];
  if (layer === undefined) {
    const name = table?.outside.get(tensor);
    if (name === undefined) return undefined;
    return { ...PLAIN, name, isEmbedding: tensor === "token_embd" };
  }
  const [experts, expertLayer] = table?.experts?.get(inner) ?? [];
  if (experts !== undefined) return { ...PLAIN, name: `${table?.layers}.${layer}.${experts}`, expertLayer };
  const path = table?.inside.get(inner);
  if (table === undefined || path === undefined) return undefined;
  const heads = inner === "attn_q" ? "query" : inner === "attn_k" ? "key" : undefined;
  return {
    ...PLAIN,
    name: `${table.layers}.${layer}.${path}`,
    interleavedHeads: table.reordersHeads ? heads : undefined,
  };
}

const PLAIN = { isEmbedding: false, interleavedHeads: undefined, expertLayer: undefined };

/**
 * The tensor of a module, without `.weight`; `undefined` when the architecture has none.
 *
 * @param architecture one of `GGUF_ARCHITECTURES`
 * @param name path in the Hugging Face model, whatever wrappers stand before it
 */
export function ggufTensor(architecture: string, name: string): string | undefined {
  const table = TABLES.get(architecture);
  if (table === undefined) return undefined;
  const path = withoutWrappers(name);
  const outside = [...table.outside].find(([, own]) => withoutWrappers(own) === path);
  if (outside !== undefined) return outside[0];
  const [, layers, layer, rest] = /^(.+?)\.(\d+)\.(.+)$/.exec(path) ?? [];
  if (layers !== withoutWrappers(table.layers)) return undefined;
  const inside = [...table.inside].find(([, own]) => own === rest);
  return inside && `blk.${layer}.${inside[0]}`;
}

/** Architectures of llama.cpp by `model_type` of config.json, where their converter leaves the weights of layers alone. */
export const GGUF_ARCHITECTURE_OF_TYPE: ReadonlyMap<string, string> = new Map([
  ["llama", "llama"],
  ["mistral", "llama"],
  ["mixtral", "llama"],
  ["qwen2", "qwen2"],
  ["qwen3", "qwen3"],
  ["qwen2_moe", "qwen2moe"],
  ["qwen3_moe", "qwen3moe"],
  ["gemma", "gemma"],
  ["gemma2", "gemma2"],
  ["gemma3_text", "gemma3"],
  ["phi3", "phi3"],
  ["gpt2", "gpt2"],
]);
