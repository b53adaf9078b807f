/**
 * Steps without a matrix product: added tensors, row and column factors, replaced rows.
 */

import type { MatrixLoader } from "../../adapters/load-matrix.ts";
import type { MatrixView } from "../../adapters/matrix.ts";
import { type PrepareStep, rowsInTile, type Tile } from "./tile.ts";

/** W[rowStart…, :] += scale · values. */
export const prepareAdd: PrepareStep<"add"> = async (step, { loader, columns }) => {
  const rowsOf = bandsOf(step.values, loader);
  return async (tile) => {
    const { from, count: rows } = rowsInTile(tile, step.rowStart, step.values.rows);
    if (rows <= 0) return;
    const target = tile.values.subarray((from - tile.rowStart) * columns);
    for (const [at, value] of rowsOf(from - step.rowStart, rows).entries()) {
      target[at] = (target[at] ?? 0) + step.scale * value;
    }
  };
};

/** W = values. */
export const prepareAssign: PrepareStep<"assign"> = async (step, { loader }) => {
  const rowsOf = bandsOf(step.values, loader);
  return async (tile) => tile.values.set(rowsOf(tile.rowStart, tile.rows));
};

/** Elements of a band of rows: where columns lie far apart, each takes a read of its own, so many rows are read at once. */
const BAND_ELEMENTS = 4 * 1024 * 1024;

/** Reads rows of a view, those of a turned one in bands that the next tiles use too. */
function bandsOf(view: MatrixView, loader: MatrixLoader): (start: number, count: number) => Float32Array {
  if (view.columnStride === 1) return (start, count) => loader.rows(view, start, count);
  let [band, first, length] = [new Float32Array(), 0, 0];
  return (start, count) => {
    if (start < first || start + count > first + length) {
      length = Math.min(view.rows - start, Math.max(count, Math.floor(BAND_ELEMENTS / Math.max(1, view.columns))));
      first = start;
      // A copy: what the loader hands out lasts as long as a tile.
      band = loader.rows(view, first, length).slice();
    }
    return band.subarray((start - first) * view.columns, (start - first + count) * view.columns);
  };
}

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
export const prepareReplaceRows: PrepareStep<"replace-rows"> = async (step, { loader, rows, columns }) => {
  const values = loader.vector(step.values);
  const length = step.axis === "rows" ? columns : rows;
  const replace = (tile: Tile, at: number, index: number, along: number) => {
    const old = tile.values[at] ?? 0;
    const value = values[index * length + along] ?? 0;
    tile.values[at] = step.weight === 1 ? value : old + step.weight * (value - old);
  };
  if (step.axis === "columns") {
    return async (tile) => {
      step.indices.forEach((column, index) => {
        for (let row = 0; row < tile.rows; row++) replace(tile, row * columns + column, index, tile.rowStart + row);
      });
    };
  }
  return async (tile) => {
    step.indices.forEach((row, index) => {
      if (row < tile.rowStart || row >= tile.rowStart + tile.rows) return;
      const start = (row - tile.rowStart) * columns;
      for (let column = 0; column < columns; column++) replace(tile, start + column, index, column);
    });
  };
};
