/**
 * Products with a matrix that comes in tiles of rows, in one pass each, and the few other things that see all of it.
 */

import type { Gemm } from "../../engine/gemm.ts";

/** Some rows of a matrix; the values are valid during the visit only. */
export interface MatrixTile {
  readonly rowStart: number;
  readonly rows: number;
  /** [rows, columns] */
  readonly values: Float32Array;
}

/** A matrix whose tiles are made again for each pass: the same numbers, in the same tiles. */
export interface TileMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly forEachTile: (visit: (tile: MatrixTile) => Promise<void>) => Promise<void>;
}

/** Tiles keep their dtype in f32 products and become f64 in f64 ones. */
type Numbers = Float32Array | Float64Array;

/** matrix · right [columns, width] → [rows, width] */
export async function multiplyTiles<Matrix extends Numbers>(
  gemm: Gemm,
  { rows, columns, forEachTile }: TileMatrix,
  right: Matrix,
  width: number,
): Promise<Matrix> {
  const product = like(right, rows * width);
  await forEachTile(async (tile) => {
    const target = product.subarray(tile.rowStart * width, (tile.rowStart + tile.rows) * width) as Matrix;
    await gemm.multiply<Matrix>({ m: tile.rows, n: width, k: columns, left: as(right, tile.values), right, target });
  });
  return product;
}

/** matrixᵀ · left [rows, width] → [columns, width], summed over the tiles in their order */
export async function multiplyTilesTurned<Matrix extends Numbers>(
  gemm: Gemm,
  { columns, forEachTile }: TileMatrix,
  left: Matrix,
  width: number,
): Promise<Matrix> {
  const target = like(left, columns * width);
  await forEachTile(async (tile) => {
    const right = left.subarray(tile.rowStart * width, (tile.rowStart + tile.rows) * width) as Matrix;
    const sides = { left: as(left, tile.values), right, turnLeft: true };
    await gemm.accumulate<Matrix>({ m: columns, n: width, k: tile.rows, ...sides, target });
  });
  return target;
}

/** Σ of the squares of all elements, in f64. */
export async function squareNorm({ forEachTile }: TileMatrix): Promise<number> {
  let sum = 0;
  await forEachTile(async ({ values }) => {
    for (let index = 0; index < values.length; index++) sum += (values[index] ?? 0) ** 2;
  });
  return sum;
}

/** The matrix in f64, or its transpose [columns, rows]. */
export async function readWhole({ rows, columns, forEachTile }: TileMatrix, turned: boolean): Promise<Float64Array> {
  const whole = new Float64Array(rows * columns);
  await forEachTile(async ({ rowStart, values }) => {
    if (!turned) {
      whole.set(values, rowStart * columns);
      return;
    }
    for (let index = 0; index < values.length; index++) {
      whole[(index % columns) * rows + rowStart + Math.floor(index / columns)] = values[index] ?? 0;
    }
  });
  return whole;
}

function like<Matrix extends Numbers>(model: Matrix, length: number): Matrix {
  return (model instanceof Float32Array ? new Float32Array(length) : new Float64Array(length)) as Matrix;
}

function as<Matrix extends Numbers>(model: Matrix, values: Float32Array): Matrix {
  return (model instanceof Float32Array ? values : Float64Array.from(values)) as Matrix;
}
