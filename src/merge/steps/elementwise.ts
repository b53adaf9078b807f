/**
 * Steps without a matrix product: added tensors, row and column factors, replaced rows.
 */

import type { PrepareStep } from "./tile.ts";

/** W += scale · values, from the start of row `rowStart`. */
export const prepareAdd: PrepareStep<"add"> = async (step, { loader, columns }) => {
  const values = loader.vector(step.values);
  return async (tile) => {
    // Element 0 of `values` stands at this index of the tile; it may lie before or behind it.
    const origin = (step.rowStart - tile.rowStart) * columns;
    const end = Math.min(tile.values.length, origin + values.length);
    for (let at = Math.max(0, origin); at < end; at++) {
      tile.values[at] = (tile.values[at] ?? 0) + step.scale * (values[at - origin] ?? 0);
    }
  };
};

/** W[i, j] *= 1 + weight · (vector[i or j] − 1). */
export const prepareScale: PrepareStep<"scale"> = async (step, { loader, columns }) => {
  const factors = Float64Array.from(loader.vector(step.vector), (value) => 1 + step.weight * (value - 1));
  return async (tile) => {
    for (let at = 0; at < tile.values.length; at++) {
      const axis = step.axis === "rows" ? tile.rowStart + Math.floor(at / columns) : at % columns;
      tile.values[at] = (tile.values[at] ?? 0) * (factors[axis] ?? 1);
    }
  };
};

/** W[indices[i], :] moves by `weight` towards values[i, :]; a later index wins over an equal earlier one. */
export const prepareReplaceRows: PrepareStep<"replace-rows"> = async (step, { loader, columns }) => {
  const values = loader.vector(step.values);
  return async (tile) => {
    step.indices.forEach((row, index) => {
      if (row < tile.rowStart || row >= tile.rowStart + tile.rows) return;
      const start = (row - tile.rowStart) * columns;
      for (let column = 0; column < columns; column++) {
        const old = tile.values[start + column] ?? 0;
        const value = values[index * columns + column] ?? 0;
        tile.values[start + column] = step.weight === 1 ? value : old + step.weight * (value - old);
      }
    });
  };
};
