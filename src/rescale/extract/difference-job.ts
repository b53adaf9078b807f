/**
 * The difference of two tensors → factors: read by tiles, subtracted in f32, decomposed.
 */

import { floatDtypeOf } from "../../adapters/load-matrix.ts";
import { type DenseTools, denseSvd } from "../../adapters/low-rank/dense-svd.ts";
import type { FactorJob, FactorResult } from "../../adapters/low-rank/factor-job.ts";
import { finishFactors } from "../../adapters/low-rank/finish-factors.ts";
import type { LowRankSvd } from "../../adapters/low-rank/product-svd.ts";
import type { FactorTools, WriteBytes } from "../../adapters/low-rank/serve-factor-jobs.ts";
import { squareNorm, type TileMatrix } from "../../adapters/low-rank/tile-products.ts";
import type { Kernels } from "../../core/cast/kernels.ts";
import { floatBytes } from "../../core/dtype.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { transpose } from "../../core/linear-algebra/products.ts";
import { readTensorRangeSync } from "../../formats/byte-source.ts";
import { placeOf, type TensorData } from "../../formats/tensor-store.ts";

export interface DifferenceJob extends FactorJob {
  readonly kind: "difference";
  readonly base: TensorData;
  readonly tuned: TensorData;
  /** [rows, columns] of one expert as it is stored. */
  readonly rows: number;
  readonly columns: number;
  /** The layer's [outputs, inputs] is the transpose of what is stored. */
  readonly turned: boolean;
  readonly isExact: boolean;
}

/** Elements of a tile: 4 MB of f32. */
const TILE_ELEMENTS = 1024 * 1024;

/**
 * @returns a rank of 0 where nothing changed
 * @throws {NonFiniteError} naming the tensor
 */
export async function runDifference(
  job: DifferenceJob,
  tools: FactorTools,
  write: WriteBytes | undefined,
  products: DenseTools,
): Promise<FactorResult> {
  const matrices = Array.from({ length: job.experts }, (_, expert) => differenceOf(job, expert, tools));
  let size = 0;
  for (const matrix of matrices) size += await squareNorm(matrix);
  if (!Number.isFinite(size)) {
    throw new NonFiniteError("the difference is not finite", {
      ...placeOf(job.tuned),
      hint: "one of the two models holds NaN or infinity there",
    });
  }
  if (size === 0) return { rank: 0, size: 0, lost: 0, rounded: 0 };
  const decompositions: LowRankSvd[] = [];
  for (const matrix of matrices) {
    const svd = await denseSvd(products, matrix, job.target, job.isExact);
    decompositions.push(job.turned ? turned(svd, job.rows, job.columns) : svd);
  }
  return finishFactors(job, decompositions, tools, write);
}

/** Of the transpose: left and right change places. */
function turned({ cut, ...svd }: LowRankSvd, rows: number, columns: number): LowRankSvd {
  return {
    ...svd,
    cut: async (rank) => {
      const { left, right } = await cut(rank);
      return { left: transpose(right, rank, columns), right: transpose(left, rows, rank) };
    },
  };
}

/** tuned − base of one expert, as it is stored. */
function differenceOf({ base, tuned, rows, columns }: DifferenceJob, expert: number, tools: FactorTools): TileMatrix {
  const rowsOfTile = Math.min(rows, Math.max(1, Math.floor(TILE_ELEMENTS / columns)));
  return {
    rows,
    columns,
    forEachTile: async (visit) => {
      const [before, after] = [base, tuned].map(
        (tensor) => new TileReader(tensor, rowsOfTile * columns, tools.kernels),
      );
      for (let rowStart = 0; rowStart < rows; rowStart += rowsOfTile) {
        tools.checkpoint();
        const count = Math.min(rowsOfTile, rows - rowStart);
        const start = (expert * rows + rowStart) * columns;
        const [old, values] = [before, after].map((reader) => reader?.read(start, count * columns));
        if (old === undefined || values === undefined) return;
        for (let index = 0; index < values.length; index++) values[index] = (values[index] ?? 0) - (old[index] ?? 0);
        await visit({ rowStart, rows: count, values });
      }
    },
  };
}

/** Elements of a tensor in f32, in a buffer that is used again. */
class TileReader {
  readonly #tensor: TensorData;
  readonly #kernels: Kernels;
  readonly #bytes: Uint8Array;
  readonly #values: Float32Array;

  constructor(tensor: TensorData, elements: number, kernels: Kernels) {
    this.#tensor = tensor;
    this.#kernels = kernels;
    this.#bytes = new Uint8Array(elements * floatBytes(floatDtypeOf(tensor)));
    this.#values = new Float32Array(elements);
  }

  read(start: number, count: number): Float32Array {
    const dtype = floatDtypeOf(this.#tensor);
    const width = floatBytes(dtype);
    const bytes = this.#bytes.subarray(0, count * width);
    readTensorRangeSync(this.#tensor, start * width, bytes);
    const values = this.#values.subarray(0, count);
    this.#kernels.widen(dtype, bytes, values);
    return values;
  }
}
