/** Bases and adapters in memory, of f32 tensors with numbers counting up. */

import type { Adapter, AdapterModule } from "../../../src/adapters/adapter.ts";
import type { ResolvedAdapter } from "../../../src/adapters/edit.ts";
import { type ResolveOptions, resolveAdapter } from "../../../src/adapters/resolve/resolve.ts";
import { DTYPE_BITS, type Dtype } from "../../../src/core/dtype.ts";
import type { JsonObject, JsonValue } from "../../../src/core/json.ts";
import type { Shape } from "../../../src/core/shape.ts";
import type { Model } from "../../../src/formats/model.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";

let seed = 0;

export function tensor(name: string, shape: Shape, dtype: Dtype = "f32"): TensorData {
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array((count * DTYPE_BITS[dtype]) / 8);
  if (dtype === "f32") {
    const values = new Float32Array(bytes.buffer);
    for (let index = 0; index < count; index++) values[index] = Math.sin(++seed);
  }
  return { name, dtype, shape, byteLength: bytes.byteLength, source: { kind: "memory", bytes } };
}

type Config = { readonly [key: string]: JsonValue | Config };

function jsonObject(config: Config): JsonObject {
  return new Map(
    Object.entries(config).map(([key, value]) => {
      const isPlain = typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
      return [key, isPlain ? jsonObject(value as Config) : (value as JsonValue)];
    }),
  );
}

export function model(tensors: readonly TensorData[] | Readonly<Record<string, Shape>>, config?: Config): Model {
  const list = Array.isArray(tensors) ? tensors : Object.entries(tensors).map(([name, shape]) => tensor(name, shape));
  const byName = new Map((list as TensorData[]).map((entry) => [entry.name, entry]));
  return {
    path: "base",
    kind: "folder",
    store: { path: "base", tensors: byName, metadata: new Map(), files: [], warnings: [] },
    weightFiles: [{ name: "model.safetensors", tensors: [...byName.keys()], metadata: new Map() }],
    indexName: undefined,
    config: config === undefined ? undefined : jsonObject(config),
    smallFiles: new Map(),
    leftBehind: [],
  };
}

/** A LoRA of rank 2 and scale 0.5, unless `more` says otherwise. */
export function lora(name: string, outputs: number, inputs: number, more: Partial<AdapterModule> = {}): AdapterModule {
  const delta = {
    kind: "lora" as const,
    down: tensor(`${name}.lora_A.weight`, [2, inputs]),
    up: tensor(`${name}.lora_B.weight`, [outputs, 2]),
  };
  return { name, kind: "linear", delta, rank: 2, alpha: 1, scale: 0.5, ...more };
}

/** Experts as PEFT writes them: down [E·2, inputs], up [outputs, 2·E]. */
export function experts(
  name: string,
  parameter: string,
  [count, outputs, inputs]: readonly [number, number, number],
  more: Partial<AdapterModule> = {},
): AdapterModule {
  const delta = {
    kind: "lora" as const,
    down: tensor(`${name}.${parameter}.lora_A.weight`, [2 * count, inputs]),
    up: tensor(`${name}.${parameter}.lora_B.weight`, [outputs, 2 * count]),
  };
  const expertLayout = { order: "rank-major" as const, swapped: false };
  return { name, parameter, kind: "experts", delta, rank: 2, alpha: 1, scale: 0.5, expertLayout, ...more };
}

export function adapter(parts: Partial<Adapter>): Adapter {
  const modules = parts.modules ?? [];
  const tensors = [
    ...modules.flatMap(({ delta, magnitude, bias, baseWeight }) => [
      ...Object.values(delta).flat(),
      magnitude,
      bias,
      baseWeight,
    ]),
    ...(parts.overrides ?? []).map(({ value }) => value),
    ...(parts.tokenRows ?? []).map(({ rows }) => rows),
  ].filter((value): value is TensorData => typeof value === "object");
  return {
    path: "adapter",
    layout: "peft",
    method: "LoRA",
    convention: "lora",
    modules,
    overrides: [],
    tokenRows: [],
    keepsTie: false,
    fanInFanOut: false,
    tensors: new Map(tensors.map((entry) => [entry.name, entry])),
    files: [],
    warnings: [],
    ...parts,
  };
}

export function resolve(
  parts: Partial<Adapter>,
  base: Model,
  options: Partial<ResolveOptions> = {},
): Promise<ResolvedAdapter> {
  return resolveAdapter(adapter(parts), base, { weight: 1, ...options });
}

/** What each edit changes, by tensor. */
export function touched(resolved: ResolvedAdapter): string[] {
  return resolved.edits.map((edit) => edit.tensor);
}
