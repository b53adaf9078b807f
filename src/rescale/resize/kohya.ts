/**
 * A file of kohya's layout with other factors: names, order and metadata stay, alphas follow from the ranks.
 *
 * The scale is alpha / rank, so alpha is scale · rank, the nearest f32 of it. A Tucker core is multiplied into `lora_down`.
 */

import type { Adapter, AdapterModule } from "../../adapters/adapter.ts";
import { alphaTensor } from "../../adapters/layouts/kohya/alpha.ts";
import type { PlannedAdapter } from "../../adapters/layouts/layout-writer.ts";
import { copyOf, type OutputTensor } from "../../adapters/output/output-tensor.ts";
import { openSafetensors } from "../../formats/safetensors/reader.ts";
import { safetensorsFrame } from "../../formats/safetensors/writer.ts";
import type { TensorData } from "../../formats/tensor-store.ts";

export function planKohya(resized: Adapter, before: Adapter): PlannedAdapter {
  const { tensors, metadata: stored } = openSafetensors(before.files[0]?.path ?? before.path);
  const metadata = newMetadata(stored, resized);
  /** By name of the stored tensor; `undefined` where it goes. */
  const changes = new Map<string, OutputTensor | undefined>();
  const alphas = new Map<string, number>();
  for (const [index, module] of before.modules.entries()) {
    const own = resized.modules[index];
    if (own === undefined || own === module) continue;
    for (const [name, tensor] of changesOf(module, own)) changes.set(name, tensor);
    alphas.set(`${module.name}.alpha`, module.scale * own.rank);
  }
  const kept = Array.from(tensors.values(), (tensor): OutputTensor | undefined => {
    const alpha = alphas.get(tensor.name);
    alphas.delete(tensor.name);
    if (alpha !== undefined) return alphaTensor(tensor.name, alpha);
    return changes.has(tensor.name) ? changes.get(tensor.name) : copyOf(tensor);
  });
  const added = Array.from(alphas, ([name, alpha]) => alphaTensor(name, alpha));
  return {
    weightsName: undefined,
    tensors: [...kept.filter((tensor) => tensor !== undefined), ...added],
    frame: (entries) => safetensorsFrame(entries, metadata),
    metadata,
    texts: new Map(),
    notes: [],
  };
}

/** What sd-scripts says about ranks, and without its hashes of the old numbers. */
function newMetadata(stored: ReadonlyMap<string, string>, { modules }: Adapter): ReadonlyMap<string, string> {
  const ranks = new Set(modules.filter(({ rank }) => rank > 0).map(({ rank }) => rank));
  const alphas = new Set(modules.filter(({ rank }) => rank > 0).map(({ rank, scale }) => Math.fround(rank * scale)));
  const only = (values: ReadonlySet<number>) => (values.size === 1 ? String([...values][0]) : "Dynamic");
  const entries = Array.from(stored, ([key, value]): [string, string] => {
    if (key === "ss_network_dim") return [key, only(ranks)];
    return [key, key === "ss_network_alpha" ? only(alphas) : value];
  });
  return new Map(entries.filter(([key]) => !key.startsWith("sshs_")));
}

function changesOf(before: AdapterModule, after: AdapterModule): [string, OutputTensor | undefined][] {
  const [old, made] = [before.delta, after.delta];
  if (old.kind !== "lora" || made.kind !== "lora") return [];
  const core = old.core === undefined ? [] : [[old.core.name, undefined] as [string, undefined]];
  return [...core, renamed(old.down, made.down, old.core === undefined ? 0 : undefined), renamed(old.up, made.up, 1)];
}

/** The new tensor under the old name, and in the old shape but for the rank, where the axis of the rank is given. */
function renamed(old: TensorData, made: TensorData, axis: 0 | 1 | undefined): [string, OutputTensor] {
  const rank = made.shape[axis ?? 0] ?? 0;
  const shape = axis === undefined ? made.shape : old.shape.map((size, index) => (index === axis ? rank : size));
  return [old.name, copyOf(made, old.name, shape)];
}
