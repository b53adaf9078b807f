/**
 * Layers that the adapter sees as one and the base stores as several, or the reverse: `gate_up_proj` and `qkv_proj` are
 * the rows of their parts on top of each other (Phi-3, GLM and others; the order is that of the names).
 *
 * `gate_up_proj` has two equal halves; the rows of queries, keys and values follow from the heads in config.json and never
 * from the adapter's own sizes, which would fit anywhere.
 */

import type { JsonObject } from "../../core/json.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { findTarget, type ResolveContext } from "./context.ts";
import { graphParameter, storesInputsFirst } from "./graph-layer.ts";
import { type Layer, type Placement, storageView, wholeLayer } from "./placement.ts";
import { problem } from "./report.ts";

const FUSED: readonly (readonly [fused: string, parts: readonly string[]])[] = [
  ["gate_up_proj", ["gate_proj", "up_proj"]],
  ["qkv_proj", ["q_proj", "k_proj", "v_proj"]],
];

/** Whose `qkv_proj` is ordered by heads (transformers 5.23). */
const INTERLEAVED_TYPES = ["codegen", "minimax"];

/** Parts of image pipelines: known by names, with relative numbers of rows. */
export function pipelineLayer(name: string, context: ResolveContext): Layer | undefined {
  const fused = context.names.findFused?.(name);
  const [tensor] = fused?.tensors ?? [];
  if (fused === undefined || tensor === undefined) return undefined;
  const { tensors, index, shares } = fused;
  if (index === undefined) return layerOfParts(tensors, context);
  const unit = outputsOf(tensor, context) / shares.reduce((sum, share) => sum + share, 0);
  if (!Number.isInteger(unit)) throw problem(`is a part of ${quote(tensor.name)}, whose rows do not divide into parts`);
  const sizes = shares.map((share) => share * unit);
  return partOfTensor(tensor, sizes, index, context);
}

export function fusedLayer(name: string, context: ResolveContext): Layer | undefined {
  if (INTERLEAVED_TYPES.some((type) => context.architecture.types.has(type))) return undefined;
  const dot = name.lastIndexOf(".") + 1;
  const [prefix, last] = [name.slice(0, dot), name.slice(dot)];
  for (const [fused, parts] of FUSED) {
    if (last === fused) {
      return layerOfParts(
        parts.map((part) => findTarget(`${prefix}${part}.weight`, context)),
        context,
      );
    }
    if (!parts.includes(last)) continue;
    const tensor = findTarget(`${prefix}${fused}.weight`, context);
    if (tensor === undefined) continue;
    return partOfTensor(tensor, partSizes(tensor, parts, context), parts.indexOf(last), context);
  }
  return undefined;
}

/** The base stores the parts. */
function layerOfParts(tensors: readonly (TensorData | undefined)[], context: ResolveContext): Layer | undefined {
  const placements: Placement[] = [];
  let [firstOutput, inputs] = [0, 0];
  for (const tensor of tensors) {
    if (tensor === undefined) return undefined;
    const transposed = holdsInputsFirst(tensor, context);
    for (const placement of wholeLayer(tensor, transposed).placements) {
      placements.push({ ...placement, firstOutput });
      firstOutput += placement.outputs;
      inputs = placement.inputs;
    }
  }
  return { outputs: firstOutput, inputs, placements };
}

/** The base stores the whole. */
function partOfTensor(tensor: TensorData, sizes: readonly number[], part: number, context: ResolveContext): Layer {
  const view = storageView(tensor);
  const transposed = holdsInputsFirst(tensor, context);
  const inputs = view[transposed ? 0 : 1];
  const outputs = sizes[part] ?? 0;
  const start = sizes.slice(0, part).reduce((sum, size) => sum + size, 0);
  const [rowStart, columnStart] = transposed ? [0, start] : [start, 0];
  const place = { rowStart, columnStart, transposed, firstOutput: 0, outputs, firstInput: 0, inputs };
  return { outputs, inputs, placements: [{ tensor, view, ...place }] };
}

function holdsInputsFirst(tensor: TensorData, context: ResolveContext): boolean {
  const parameter = graphParameter(tensor, context);
  return parameter !== undefined && storesInputsFirst(parameter, "linear");
}

function outputsOf(tensor: TensorData, context: ResolveContext): number {
  return storageView(tensor)[holdsInputsFirst(tensor, context) ? 1 : 0];
}

/** Outputs of each part, in order. */
function partSizes(tensor: TensorData, parts: readonly string[], context: ResolveContext): readonly number[] {
  const rows = outputsOf(tensor, context);
  const sizes = parts.length === 2 ? [rows / 2, rows / 2] : headSizes(context.model.config);
  if (sizes === undefined) {
    throw problem(
      `is a part of ${quote(tensor.name)}, expected num_attention_heads and head_dim or hidden_size in config.json, which tell its rows`,
    );
  }
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total === rows && sizes.every(Number.isInteger)) return sizes;
  throw problem(
    `is a part of ${quote(tensor.name)}, expected ${sizes.join(" + ")} rows for ${parts.join(", ")}, got ${rows}`,
  );
}

/** Rows of queries, keys and values: heads · head_dim each, as transformers derives them. */
function headSizes(config: JsonObject | undefined): readonly number[] | undefined {
  const inner = config?.get("text_config");
  const sections = inner instanceof Map ? [inner as JsonObject, config] : [config];
  const read = (key: string) => {
    const value = sections.map((section) => section?.get(key)).find((found) => found != null);
    return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
  };
  const heads = read("num_attention_heads");
  const [hidden, keyHeads] = [read("hidden_size"), read("num_key_value_heads") ?? heads];
  const size = read("head_dim") ?? (hidden === undefined || heads === undefined ? undefined : hidden / heads);
  if (heads === undefined || keyHeads === undefined || size === undefined) return undefined;
  return [heads * size, keyHeads * size, keyHeads * size];
}
