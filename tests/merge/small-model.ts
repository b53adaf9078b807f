/** Bases and adapters of a few numbers, written to disk as other tools would. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeElement } from "../../src/core/cast/float-codec.ts";
import { DTYPE_BITS, type Dtype, floatBytes, isFloatDtype } from "../../src/core/dtype.ts";
import { writeSafetensors } from "../../src/formats/safetensors/writer.ts";

/** Shape, then dtype and how each element follows from its index; integers are zeros. */
export interface SmallTensor {
  readonly shape: readonly number[];
  readonly dtype?: Dtype;
  readonly value?: (index: number) => number;
}

export type SmallTensors = Readonly<Record<string, SmallTensor>>;

export const Q = "model.layers.0.self_attn.q_proj";
export const V = "model.layers.0.self_attn.v_proj";

/** Multiples of 1/8 between −1 and 1, exact in every float dtype. */
const steps = (index: number) => ((index * 7) % 17) / 8 - 1;

/** Two linear layers of 8 inputs and 6 outputs, a norm and an embedding. */
export const BASE_TENSORS: SmallTensors = {
  "model.embed_tokens.weight": { shape: [10, 8] },
  [`${Q}.weight`]: { shape: [6, 8] },
  [`${V}.weight`]: { shape: [6, 8] },
  "model.norm.weight": { shape: [8] },
};

/** Factors of rank 2 for one linear layer. */
export function pair(module: string): SmallTensors {
  return {
    [`base_model.model.${module}.lora_A.weight`]: { shape: [2, 8] },
    [`base_model.model.${module}.lora_B.weight`]: { shape: [6, 2] },
  };
}

export function writeTensors(path: string, tensors: SmallTensors): void {
  const list = Object.entries(tensors).map(([name, { shape, dtype = "f32", value = steps }]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const bytes = new Uint8Array((count * DTYPE_BITS[dtype]) / 8);
    if (isFloatDtype(dtype)) {
      const width = floatBytes(dtype);
      for (let index = 0; index < count; index++) encodeElement(dtype, value(index), bytes, index * width);
    }
    return { name, dtype, shape, bytes };
  });
  writeSafetensors(path, list, new Map([["format", "pt"]]));
}

/** An HF folder; returns its path. */
export function writeBase(folder: string, tensors: SmallTensors = BASE_TENSORS, config: object = {}): string {
  const base = join(folder, "base");
  mkdirSync(base);
  const settings = {
    model_type: "llama",
    tie_word_embeddings: false,
    torch_dtype: "float32",
    vocab_size: 10,
    ...config,
  };
  writeFileSync(join(base, "config.json"), JSON.stringify(settings, undefined, 2));
  writeTensors(join(base, "model.safetensors"), tensors);
  return base;
}

/** A PEFT folder of rank 2 and alpha 4; returns its path. */
export function writeAdapter(
  folder: string,
  tensors: SmallTensors = { ...pair(Q), ...pair(V) },
  settings: object = {},
  name = "adapter",
): string {
  const adapter = join(folder, name);
  mkdirSync(adapter);
  const all = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj", "v_proj"], ...settings };
  writeFileSync(join(adapter, "adapter_config.json"), JSON.stringify(all));
  writeTensors(join(adapter, "adapter_model.safetensors"), tensors);
  return adapter;
}
