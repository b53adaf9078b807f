/**
 * Experts under the names of both worlds: one stacked parameter for all experts (transformers 5), or a linear layer for
 * each part of each expert (transformers 4 and most files).
 */

import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { findTarget, type ResolveContext } from "./context.ts";
import type { Layer } from "./placement.ts";
import { problem } from "./report.ts";

/** The layers of one expert whose rows on top of each other are its part of the stacked parameter, in order. */
const PARTS: ReadonlyMap<string, readonly (readonly string[])[]> = new Map([
  [
    "gate_up_proj",
    [
      ["gate_proj", "up_proj"],
      ["w1", "w3"],
      ["fc1", "fc3"],
    ],
  ],
  ["down_proj", [["down_proj"], ["w2"], ["fc2"]]],
  ["up_proj", [["up_proj"], ["w3"]]],
  ["gate_proj", [["gate_proj"], ["w1"]]],
]);

/** Whose gate and up are every other column of `gate_up_proj` (`gpt_oss` of transformers 5.23). */
const INTERLEAVED_TYPES = ["gpt_oss"];

const EXPERT_LAYER = /^(.*\.experts)\.(\d+)\.(\w+)$/;

/** A module of one expert (`….experts.3.gate_proj`) on a base whose experts are stacked. */
export function expertOfStack(name: string, context: ResolveContext): Layer | undefined {
  const [, experts, number, layer] = EXPERT_LAYER.exec(name) ?? [];
  if (experts === undefined || number === undefined || layer === undefined) return undefined;
  for (const [parameter, variants] of PARTS) {
    const parts = variants.find((names) => names.includes(layer));
    if (parts === undefined) continue;
    const tensor = findTarget(`${experts}.${parameter}`, context);
    if (tensor?.shape.length !== 3) continue;
    if (context.model.graph !== undefined) throw problem("stacked experts of an ONNX graph are not supported");
    return partOfExpert(tensor, Number(number), parts.indexOf(layer), parts.length, experts, context);
  }
  return undefined;
}

function partOfExpert(
  tensor: TensorData,
  expert: number,
  part: number,
  parts: number,
  experts: string,
  context: ResolveContext,
): Layer {
  if (parts > 1 && INTERLEAVED_TYPES.some((type) => context.architecture.types.has(type))) {
    throw problem(`adapts a part of ${quote(tensor.name)}, whose parts alternate column by column: not supported`);
  }
  const [count = 0, first = 0, second = 0] = tensor.shape;
  if (expert >= count) throw problem(`the base has ${count} experts, expected one with number ${expert}`);
  const transposed = storesInputsFirst(experts, context);
  const [allOutputs, inputs] = transposed ? [second, first] : [first, second];
  if (allOutputs % parts !== 0) throw problem(`expected ${parts} equal parts, got ${allOutputs} outputs`);
  const outputs = allOutputs / parts;
  const start = part * outputs;
  const rowStart = expert * first + (transposed ? 0 : start);
  const place = { rowStart, columnStart: transposed ? start : 0, transposed };
  const view = [count * first, second] as const;
  return { outputs, inputs, placements: [{ tensor, view, ...place, firstOutput: 0, outputs, firstInput: 0, inputs }] };
}

/** The tensors of single experts that make up a stacked parameter, in rows on top of each other, by expert. */
export function singleExperts(
  experts: string,
  parameter: string,
  context: ResolveContext,
): readonly (readonly TensorData[])[] | undefined {
  for (const parts of PARTS.get(parameter) ?? [[parameter]]) {
    const found: TensorData[][] = [];
    for (;;) {
      const names = parts.map((part) => `${experts}.${found.length}.${part}.weight`);
      const tensors = names.map((name) => findTarget(name, context)).filter((tensor) => tensor !== undefined);
      if (tensors.length === 0) break;
      if (tensors.length < parts.length) {
        throw problem(
          `expert ${found.length} of the base has ${tensors.length} of ${parts.length} tensors (${parts.join(", ")})`,
        );
      }
      found.push(tensors);
    }
    if (found.length > 0) return found;
  }
  return undefined;
}

/** Modules that run on (E, in, out): `is_transposed` of transformers 5.23. */
const TRANSPOSED_TYPES = ["gpt_oss", "openai_privacy_filter", "aria", "aria_text"];

/** Models that compute with (E, in, out), whatever PEFT takes them for. */
export const INPUTS_FIRST_TYPES = [...TRANSPOSED_TYPES, "llama4_text"];

export function runsOnInputsFirst({ architecture }: Pick<ResolveContext, "architecture">): boolean {
  return TRANSPOSED_TYPES.some((type) => architecture.types.has(type));
}

/** Whether stacked experts hold [in, out] for each: by what the model computes, not by what PEFT takes them for. */
function storesInputsFirst(experts: string, context: ResolveContext): boolean {
  return INPUTS_FIRST_TYPES.some((type) => context.architecture.types.has(type)) || isTurnedOnDisk(experts, context);
}

/**
 * Qwen3-VL-MoE: files have (E, in, out), the running model (E, out, in); transformers turns them where the shapes ask for
 * it. gate_up (E, 2I, H) and down (E, H, I) as they run tell them apart, whatever the sizes.
 */
export function isTurnedOnDisk(experts: string, context: ResolveContext): boolean {
  if (!context.architecture.types.has("qwen3_vl_moe")) return false;
  const gateUp = findTarget(`${experts}.gate_up_proj`, context);
  const down = findTarget(`${experts}.down_proj`, context);
  if (gateUp === undefined || down === undefined) return false;
  const [, hidden, twice] = gateUp.shape;
  const [, inner, back] = down.shape;
  return hidden === back && twice !== undefined && inner !== undefined && twice === 2 * inner;
}
