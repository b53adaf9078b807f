/**
 * The largest singular values of a matrix that is made tile by tile and never held.
 *
 * Small matrices are decomposed as a whole, in f64. Large ones by randomised subspace iteration (Halko, Martinsson, Tropp,
 * SIAM Review 53, 2011, algorithm 4.4): products with a few random directions, and with the matrix and its transpose in
 * turn, in f32 on the engine; the last product, from which values and errors come, in f64.
 */

import { identity } from "../../core/linear-algebra/products.ts";
import { fillNormal, philoxKey } from "../../core/random.ts";
import type { Gemm } from "../../engine/gemm.ts";
import type { RankTarget } from "./choose-rank.ts";
import { orthonormalise } from "./orthonormal.ts";
import { type LowRankSvd, productSvd } from "./product-svd.ts";
import { multiplyTiles, multiplyTilesTurned, readWhole, squareNorm, type TileMatrix } from "./tile-products.ts";

/** Up to this many rows or columns a whole decomposition takes seconds. */
const WHOLE_SIZE = 512;

/** And up to this many elements it takes little memory. */
const WHOLE_ELEMENTS = 64 * 1024 * 1024;

/** Directions more than the rank: what leaks past the rank is found among them. */
const OVERSAMPLING = 32;

/** Rounds of the quick answer: each makes the wanted directions stand out by the square of the ratio of the values. */
const QUICK_ROUNDS = 2;

/** The exact answer is found when a round changes the captured size by less. */
const SETTLED = 1e-12;

/** Values that lie as close as rounding never settle, and need not. */
const MAX_ROUNDS = 300;

export interface DenseTools {
  /** f32 where the products are to be made. */
  readonly fast: Gemm;
  /** f64, on the processor. */
  readonly exact: Gemm;
}

/** @param isExact until the approximation does not change any more, in f64 */
export async function denseSvd(
  tools: DenseTools,
  matrix: TileMatrix,
  target: RankTarget,
  isExact: boolean,
): Promise<LowRankSvd> {
  const { rows, columns } = matrix;
  const full = Math.min(rows, columns);
  if (full <= WHOLE_SIZE && rows * columns <= WHOLE_ELEMENTS) return decomposeWhole(tools.exact, matrix);
  if (target.rank !== undefined && target.rank >= full && target.energy === undefined) return asFactor(matrix);
  const size = await squareNorm(matrix);
  let wanted = target.rank ?? OVERSAMPLING;
  for (;;) {
    const width = Math.min(full, wanted + Math.max(OVERSAMPLING, Math.ceil(wanted / 4)));
    const found = await iterate(tools, matrix, { wanted, width, size, isExact });
    const { energy, rank = full } = target;
    const isEnough =
      energy === undefined || wanted >= Math.min(rank, full) || found.lost(wanted) <= (1 - energy) * size;
    if (isEnough) return found;
    wanted = Math.min(rank, full, 2 * wanted);
  }
}

/** All singular values of a matrix that has few rows or few columns. */
async function decomposeWhole(gemm: Gemm, matrix: TileMatrix): Promise<LowRankSvd> {
  const { rows, columns } = matrix;
  if (columns <= rows) {
    const size = { rows, inner: columns, columns };
    return productSvd(gemm, await readWhole(matrix, false), identity(columns), size);
  }
  return productSvd(gemm, identity(rows), await readWhole(matrix, true), { rows, inner: rows, columns });
}

/** A rank that holds everything needs no decomposition: the matrix itself is one factor. */
async function asFactor(matrix: TileMatrix): Promise<LowRankSvd> {
  const { rows, columns } = matrix;
  const full = Math.min(rows, columns);
  const cut = async (rank: number) => {
    const [left, right] = [new Float64Array(rows * rank), new Float64Array(rank * columns)];
    const [whole, unit] = columns <= rows ? [left, right] : [right, left];
    await matrix.forEachTile(async ({ rowStart, values }) => {
      for (let index = 0; index < values.length; index++) {
        const [row, column] = [rowStart + Math.floor(index / columns), index % columns];
        whole[columns <= rows ? row * rank + column : row * columns + column] = values[index] ?? 0;
      }
    });
    const width = columns <= rows ? columns : rank;
    for (let index = 0; index < full; index++) unit[index * width + index] = 1;
    return { left, right };
  };
  return { values: new Float64Array(full).fill(1), size: await squareNorm(matrix), lost: () => 0, cut };
}

interface Round {
  readonly wanted: number;
  /** Directions. */
  readonly width: number;
  readonly size: number;
  readonly isExact: boolean;
}

async function iterate(
  tools: DenseTools,
  matrix: TileMatrix,
  { wanted, width, size, isExact }: Round,
): Promise<LowRankSvd> {
  const { rows, columns } = matrix;
  const products = isExact ? tools.exact : tools.fast;
  const bits = isExact ? Float64Array : Float32Array;
  let directions: Float64Array = randomDirections(columns, width);
  let captured = 0;
  for (let round = 1; ; round++) {
    const images = await multiplyTiles(products, matrix, bits.from(directions), width);
    const basis = await basisOf(tools.exact, Float64Array.from(images), rows, width);
    const back = await multiplyTilesTurned(products, matrix, bits.from(basis), width);
    directions = await basisOf(tools.exact, Float64Array.from(back), columns, width);
    const isLast = isExact ? round === MAX_ROUNDS : round === QUICK_ROUNDS;
    if (!isLast && !isExact) continue;
    const exactImages = await multiplyTiles(tools.exact, matrix, directions, width);
    const svd = await productSvd(tools.exact, exactImages, directions, { rows, inner: width, columns });
    const lost = (rank: number) => Math.max(0, size - (svd.size - svd.lost(rank)));
    const now = size - lost(wanted);
    if (isLast || Math.abs(now - captured) <= SETTLED * size) return { ...svd, size, lost };
    captured = now;
  }
}

/** Orthonormal columns that span those of the matrix [length, width]. */
async function basisOf(gemm: Gemm, matrix: Float64Array, length: number, width: number): Promise<Float64Array> {
  const { combine, size } = await orthonormalise(gemm, matrix, length, width);
  // As many directions as dimensions: the axes.
  return combine(identity(size), size);
}

function randomDirections(length: number, width: number): Float64Array {
  const values = new Float32Array(length * width);
  const key = philoxKey(0, "dense-svd");
  fillNormal(values, key, 0);
  return Float64Array.from(values);
}
