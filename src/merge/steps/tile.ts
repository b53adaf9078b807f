/**
 * What the step files share: a tile of rows held in f32, and a step made ready to be applied to tiles.
 */

import type { MatrixLoader } from "../../adapters/load-matrix.ts";
import type { Gemm } from "../../engine/gemm.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { MergeStep } from "../combine/combine-step.ts";

/** Some rows of the storage view of one tensor. */
export interface Tile {
  /** [rows, columns], changed in place. */
  readonly values: Float32Array;
  /** The first row's index in the tensor. */
  readonly rowStart: number;
  readonly rows: number;
  readonly columns: number;
}

export type ReadyStep = (tile: Tile) => Promise<void>;

export interface StepContext {
  readonly gemm: Gemm;
  readonly loader: MatrixLoader;
  /** The tensor before the steps, for errors. */
  readonly source: TensorData;
  /** Of the tensor's storage view. */
  readonly rows: number;
  readonly columns: number;
  /** The steps before this one. */
  readonly earlier: readonly ReadyStep[];
  /** Reads the unedited tensor tile by tile. */
  readonly forEachTile: (visit: ReadyStep) => Promise<void>;
}

/** Loads what every tile needs and returns what to do with one. */
export type PrepareStep<Kind extends MergeStep["kind"]> = (
  step: Extract<MergeStep, { kind: Kind }>,
  context: StepContext,
) => Promise<ReadyStep>;

/** Which rows of a tile belong to a rectangle of the tensor, `rows` rows from `rowStart` on. */
export function rowsInTile(
  tile: Tile,
  rowStart: number,
  rows: number,
): {
  /** In the tensor. */
  readonly from: number;
  /** Not above 0: none. */
  readonly count: number;
} {
  const from = Math.max(tile.rowStart, rowStart);
  return { from, count: Math.min(tile.rowStart + tile.rows, rowStart + rows) - from };
}

/** W[from…, columnStart…] += added [rows, width]; the rows lie in the tile. */
export function addToTile(tile: Tile, from: number, columnStart: number, added: Float32Array, width: number): void {
  const { values, columns, rowStart } = tile;
  const rows = added.length / width;
  for (let row = 0; row < rows; row++) {
    const start = (from - rowStart + row) * columns + columnStart;
    for (let column = 0; column < width; column++) {
      values[start + column] = (values[start + column] ?? 0) + (added[row * width + column] ?? 0);
    }
  }
}
