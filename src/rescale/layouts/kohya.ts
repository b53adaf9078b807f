/**
 * Files of kohya's layout, and of diffusers' without settings: an alpha tensor beside the factors, scale alpha / rank, and 1
 * where there is none.
 */

import { alphaName, alphaTensor } from "../../adapters/layouts/kohya/alpha.ts";
import type { OutputTensor } from "../../adapters/output/output-tensor.ts";
import { safetensorsFrame } from "../../formats/safetensors/writer.ts";
import { changedTensors } from "../changed-tensors.ts";
import { folds, type ModulePlan } from "../plan.ts";
import { conventionNotes, planOneConvention } from "./one-convention.ts";
import type { Rescaler } from "./rescaler.ts";

export const rescaleKohya: Rescaler = ({ adapter, store }, options) => {
  const modules = planOneConvention(adapter.modules, options, options.adapter, (scale, rank) => {
    const alpha = Math.fround(scale * rank);
    return { alpha, scale: alpha / rank };
  });
  const changed = changedTensors(store.tensors.values(), modules, "rank-major");
  return {
    from: "lora",
    modules,
    rewrites: folds(options),
    output: {
      weightsName: undefined,
      tensors: folds(options) ? withAlphas(changed, modules) : changed,
      frame: (entries) => safetensorsFrame(entries, store.metadata),
      metadata: store.metadata,
      texts: new Map(),
    },
    notes: conventionNotes(adapter.layout, options),
  };
};

/** The alphas in f32, where they were or at the end of the file. */
function withAlphas(tensors: readonly OutputTensor[], modules: readonly ModulePlan[]): OutputTensor[] {
  const scaled = modules.filter(({ module }) => module.delta.kind === "lora");
  const alphas = new Map(scaled.map(({ module, alpha }) => [alphaName(module), alpha]));
  const replaced = tensors.map((tensor) => {
    const alpha = alphas.get(tensor.name);
    alphas.delete(tensor.name);
    return alpha === undefined ? tensor : alphaTensor(tensor.name, alpha);
  });
  return [...replaced, ...Array.from(alphas, ([name, alpha]) => alphaTensor(name, alpha))];
}
