/**
 * W += what a method makes of several deltas. Each delta is made apart, tile by tile, by its own steps; what sees the whole
 * tensor (thresholds, singular values) takes passes first.
 */

import type { CombineStep, DeltaStep } from "../combine/combine-step.ts";
import type { ElementMethod } from "../combine/method.ts";
import { METHODS } from "../combine/registry.ts";
import { prepareSelection } from "../combine/selection.ts";
import { prepareCut } from "./cut.ts";
import { prepareStep } from "./prepare.ts";
import type { PrepareStep, ReadyStep, StepContext, Tile } from "./tile.ts";

export const prepareCombine: PrepareStep<"combine"> = async (step, context) => {
  const method = METHODS[step.method.name];
  return method.kind === "elements" ? prepareElements(step, method, context) : prepareCut(step, context);
};

/** Elements that a delta has in a tensor: a layer may be a part of it. */
function coveredElements(steps: readonly DeltaStep[], { rows, columns }: StepContext): number {
  const covered = steps.reduce(
    (sum, step) => sum + (step.kind === "low-rank" ? step.left.rows * step.right.columns : rows * columns),
    0,
  );
  return Math.min(covered, rows * columns);
}

async function prepareElements(step: CombineStep, method: ElementMethod, context: StepContext): Promise<ReadyStep> {
  const { settings } = step.method;
  const ready: (readonly ReadyStep[])[] = [];
  for (const { steps } of step.deltas) {
    const own: ReadyStep[] = [];
    for (const one of steps) own.push(await prepareStep(one, context));
    ready.push(own);
  }
  const deltasOf = async (tile: Tile): Promise<Float32Array[]> => {
    const deltas: Float32Array[] = [];
    for (const own of ready) {
      const values = context.loader.pool.take(tile.values.length).fill(0);
      for (const apply of own) await apply({ ...tile, values });
      deltas.push(values);
    }
    return deltas;
  };
  const select = await prepareSelection(method.selection, {
    settings,
    adapters: step.adapters,
    name: step.tensor,
    sizes: step.deltas.map(({ steps }) => coveredElements(steps, context)),
    forEachTile: (visit) =>
      context.forEachTile(async (tile) => visit({ start: tile.rowStart * tile.columns, deltas: await deltasOf(tile) })),
  });
  const weights = step.deltas.map(({ weight }) => weight);
  return async (tile) => {
    const deltas = await deltasOf(tile);
    select({ start: tile.rowStart * tile.columns, deltas });
    method.join(deltas, weights, settings, tile.values);
  };
}
