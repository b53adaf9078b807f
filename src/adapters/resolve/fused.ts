/**
 * Layers that the adapter sees as one and the base stores as several, or the reverse: `gate_up_proj` and `qkv_proj` are
 * the rows of their parts on top of each other (Phi-3, GLM and others; the order is that of the names).
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import { findTarget, type ResolveContext } from "./context.ts";
import { type Layer, type Placement, storageView } from "./placement.ts";

const FUSED: readonly (readonly [fused: string, parts: readonly string[]])[] = [
  ["gate_up_proj", ["gate_proj", "up_proj"]],
  ["qkv_proj", ["q_proj", "k_proj", "v_proj"]],
];

/** Whose `qkv_proj` is ordered by blocks of heads. */
const INTERLEAVED_TYPES = ["codegen"];

/** @param outputs of the adapter's factors: the rows of a part follow from it */
export function fusedLayer(name: string, outputs: number, context: ResolveContext): Layer | undefined {
  if (INTERLEAVED_TYPES.some((type) => context.architecture.types.has(type))) return undefined;
  const dot = name.lastIndexOf(".") + 1;
  const [prefix, last] = [name.slice(0, dot), name.slice(dot)];
  for (const [fused, parts] of FUSED) {
    if (last === fused) return layerOfParts(parts.map((part) => findTarget(`${prefix}${part}.weight`, context)));
    if (!parts.includes(last)) continue;
    const tensor = findTarget(`${prefix}${fused}.weight`, context);
    if (tensor !== undefined) return partOfTensor(tensor, parts.indexOf(last), parts.length, outputs);
  }
  return undefined;
}

/** The base stores the parts. */
function layerOfParts(tensors: readonly (TensorData | undefined)[]): Layer | undefined {
  const placements: Placement[] = [];
  let [firstOutput, inputs] = [0, 0];
  for (const tensor of tensors) {
    if (tensor === undefined) return undefined;
    const view = storageView(tensor);
    inputs = view[1];
    placements.push({
      tensor,
      view,
      rowStart: 0,
      columnStart: 0,
      transposed: false,
      firstOutput,
      outputs: view[0],
      firstInput: 0,
      inputs,
    });
    firstOutput += view[0];
  }
  return { outputs: firstOutput, inputs, placements };
}

/** The base stores the whole. Keys and values have equally many rows; the queries have the rest. */
function partOfTensor(tensor: TensorData, part: number, parts: number, outputs: number): Layer | undefined {
  const view = storageView(tensor);
  const [rows, inputs] = view;
  const rowStart = part === 0 ? 0 : rows - (parts - part) * outputs;
  const isEven = parts === 2 ? rows === 2 * outputs : (rows - outputs) % 2 === 0;
  if (!isEven || rowStart < 0 || outputs > rows) return undefined;
  const place = { rowStart, columnStart: 0, transposed: false, firstOutput: 0, outputs, firstInput: 0, inputs };
  return { outputs, inputs, placements: [{ tensor, view, ...place }] };
}
