/**
 * One adapter module → edits of the tensors that hold its layer.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import { swapsHalves } from "../architecture/pipeline/transformer-names.ts";
import type { TensorEdit } from "../edit.ts";
import { swapHalves } from "../swap-halves.ts";
import { biasEdits } from "./bias.ts";
import { findTarget, type ResolveContext } from "./context.ts";
import { weightSteps } from "./delta-steps.ts";
import { expertEdits } from "./experts.ts";
import { locateLayer } from "./layer.ts";
import { replacementOf, replaceWith } from "./replacement.ts";
import { restoreHeads } from "./rotary-heads.ts";

/** @throws {Misfit} naming what does not fit */
export function moduleEdits(module: AdapterModule, context: ResolveContext): TensorEdit[] {
  if (module.kind === "experts" || isStackOfOne(module, context)) return expertEdits(module, context);
  const replacement = replacementOf(module, context);
  const layer = locateLayer(module, context, context.model.graph === undefined ? replacement?.shape[0] : undefined);
  const stored = layer.placements[0]?.tensor.name.replace(/\.\w+$/, "") ?? "";
  const own = swapsHalves(module.name, stored) ? swapHalves(module) : module;
  const ordered = restoreHeads(own, context.model.config);
  const edits = layer.placements.map((placement): TensorEdit => {
    const steps = weightSteps(ordered, layer, placement, context);
    const { tensor, view } = placement;
    const edit = { tensor: tensor.name, module: module.name, bothEnds: false };
    if (replacement === undefined) return { ...edit, view, steps };
    const replaced = replaceWith(tensor, replacement, context);
    return { ...edit, ...replaced, view, steps: [...replaced.steps, ...steps] };
  });
  return [...edits, ...biasEdits(own, layer, context)];
}

/** Every tensor of the file that belongs to the module. */
export function tensorsOf(module: AdapterModule): TensorData[] {
  const { delta, magnitude, bias, baseWeight } = module;
  const factors = Object.values(delta).flat();
  return [...factors, magnitude, bias, baseWeight].filter((value): value is TensorData => typeof value === "object");
}

function isStackOfOne({ name, parameter }: AdapterModule, context: ResolveContext): boolean {
  return parameter !== undefined && findTarget(`${name}.${parameter}`, context)?.shape.length === 3;
}
