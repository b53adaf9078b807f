/** Adapter files in memory, for tests of the reader. */

import type { Adapter } from "../../../../src/adapters/adapter.ts";
import { peftReader } from "../../../../src/adapters/layouts/peft/read.ts";
import { DTYPE_BITS, type Dtype } from "../../../../src/core/dtype.ts";
import { parseJsonObject } from "../../../../src/core/json-parser.ts";
import type { TensorData } from "../../../../src/formats/tensor-store.ts";

export type Shapes = Readonly<Record<string, readonly number[]>>;

const IDENTITY = { path: "adapter", size: 0, device: 0n, inode: 0n, modifiedNs: 0n, changedNs: 0n };

/** Settings of a small LoRA adapter; the given ones are put over them. */
export function loraSettings(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { peft_type: "LORA", r: 4, lora_alpha: 8, target_modules: ["q_proj"], ...more };
}

export function tensor(name: string, shape: readonly number[], dtype: Dtype = "f32"): TensorData {
  const byteLength = (shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype]) / 8;
  return { name, dtype, shape, byteLength, source: { kind: "memory", bytes: new Uint8Array(byteLength) } };
}

/** The adapter with these settings (an object, or the text of the file) and tensors. */
export function readAdapter(settings: unknown, tensors: Shapes | readonly TensorData[]): Adapter {
  const list = Array.isArray(tensors)
    ? (tensors as readonly TensorData[])
    : Object.entries(tensors as Shapes).map(([name, shape]) => tensor(name, shape));
  const text = typeof settings === "string" ? settings : JSON.stringify(settings);
  const path = "adapter/adapter_config.json";
  return peftReader.read({
    path: "adapter",
    store: {
      path: "adapter/adapter_model.safetensors",
      tensors: new Map(list.map((entry) => [entry.name, entry])),
      metadata: new Map(),
      files: [IDENTITY],
      warnings: [],
    },
    settings: { path, values: parseJsonObject(new TextEncoder().encode(text), { file: path }), identity: IDENTITY },
  });
}

/** A pair of LoRA factors for a linear layer of 8 inputs and 6 outputs. */
export function pair(module: string, rank = 4): Shapes {
  return {
    [`base_model.model.${module}.lora_A.weight`]: [rank, 8],
    [`base_model.model.${module}.lora_B.weight`]: [6, rank],
  };
}
