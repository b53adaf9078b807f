/**
 * DoRA (arXiv 2402.09353 eq. 5): V = W after the inner steps; W' = W + weight · (magnitude / ‖V‖ · V − W).
 *
 * The norm runs along the rows of the storage view, or along its columns where the layer's outputs are the columns
 * (HF Conv1D, embeddings); those need a pass over the whole tensor first. Sums of squares are in f64; there is no
 * epsilon, so a row of zeros gives a non-finite result, which the merge refuses.
 */

import type { MagnitudeStep } from "../../adapters/edit.ts";
import { norm } from "../../core/norm.ts";
import { prepareAdd } from "./elementwise.ts";
import { prepareLowRank } from "./low-rank.ts";
import type { PrepareStep, ReadyStep, StepContext, Tile } from "./tile.ts";

export const prepareMagnitude: PrepareStep<"magnitude"> = async (step, context) => {
  const magnitude = context.loader.vector(step.magnitude);
  const inner: ReadyStep[] = [];
  for (const innerStep of step.inner) {
    inner.push(await (innerStep.kind === "add" ? prepareAdd(innerStep, context) : prepareLowRank(innerStep, context)));
  }
  const factors = step.axis === "columns" ? await columnFactors(magnitude, inner, context) : undefined;

  return async (tile) => {
    const before = step.weight === 1 ? undefined : tile.values.slice();
    for (const apply of inner) await apply(tile);
    for (let row = 0; row < tile.rows; row++) {
      const values = tile.values.subarray(row * tile.columns, (row + 1) * tile.columns);
      const rowFactor = factors === undefined ? (magnitude[tile.rowStart + row] ?? 0) / norm(values) : 0;
      for (let column = 0; column < tile.columns; column++) {
        values[column] = (factors === undefined ? rowFactor : (factors[column] ?? 0)) * (values[column] ?? 0);
      }
    }
    if (before !== undefined) blend(tile, before, step);
  };
};

/** magnitude / ‖V‖ for each column of the whole tensor. */
async function columnFactors(
  magnitude: Float32Array,
  inner: readonly ReadyStep[],
  context: StepContext,
): Promise<Float64Array> {
  const squares = new Float64Array(context.columns);
  await context.forEachTile(async (tile) => {
    for (const apply of [...context.earlier, ...inner]) await apply(tile);
    for (let at = 0; at < tile.values.length; at++) {
      const value = tile.values[at] ?? 0;
      squares[at % tile.columns] = (squares[at % tile.columns] ?? 0) + value * value;
    }
  });
  return squares.map((square, column) => (magnitude[column] ?? 0) / Math.sqrt(square));
}

function blend(tile: Tile, before: Float32Array, { weight }: MagnitudeStep): void {
  for (let at = 0; at < tile.values.length; at++) {
    const old = before[at] ?? 0;
    tile.values[at] = old + weight * ((tile.values[at] ?? 0) - old);
  }
}
