/**
 * The trained tensors of one adapted layer: their names in graphs, their shapes, and what PEFT calls them.
 */

import type { Shape } from "../../core/shape.ts";
import type { BaseLayer } from "../base/base.ts";
import type { SelectedModule } from "./select-modules.ts";

export const PARTS = ["down", "up", "magnitude"] as const;
export type Part = (typeof PARTS)[number];

/** What an adapter is to its layer: a Conv1D is a linear layer, however it is stored. */
export function adapterKind({ kind }: BaseLayer): "linear" | "embedding" {
  return kind === "embedding" ? "embedding" : "linear";
}

export function partName(module: string, part: Part): string {
  return `${module}/${part}`;
}

export function partShapes({ layer, rank }: SelectedModule): Readonly<Record<Part, Shape>> {
  return { down: [rank, layer.inputs], up: [layer.outputs, rank], magnitude: [layer.outputs] };
}

/** The parts that a layer has: DoRA is for linear layers. */
export function partsOf({ layer }: SelectedModule, dora: boolean): readonly Part[] {
  return dora && adapterKind(layer) === "linear" ? PARTS : ["down", "up"];
}

export function partNames(selected: SelectedModule, dora: boolean): string[] {
  return partsOf(selected, dora).map((part) => partName(selected.layer.module, part));
}
