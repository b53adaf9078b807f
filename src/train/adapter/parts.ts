/**
 * The trained tensors of one adapted layer: their names in graphs, their shapes, and what PEFT calls them.
 */

import type { Shape } from "../../core/shape.ts";
import type { SelectedModule } from "./select-modules.ts";

export const PARTS = ["down", "up", "magnitude"] as const;
export type Part = (typeof PARTS)[number];

export function partName(module: string, part: Part): string {
  return `${module}/${part}`;
}

export function partShapes({ layer, rank }: SelectedModule): Readonly<Record<Part, Shape>> {
  return { down: [rank, layer.inputs], up: [layer.outputs, rank], magnitude: [layer.outputs] };
}

/** The parts that a layer has: DoRA is for linear layers. */
export function partsOf({ layer }: SelectedModule, dora: boolean): readonly Part[] {
  return dora && layer.kind !== "embedding" ? PARTS : ["down", "up"];
}

export function partNames(selected: SelectedModule, dora: boolean): string[] {
  return partsOf(selected, dora).map((part) => partName(selected.layer.module, part));
}
