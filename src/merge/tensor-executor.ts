/**
 * Makes one tensor job: read → f32 → steps → one rounding → write, tile by tile, in buffers that are allocated once.
 *
 * A tile is some whole rows of the storage view. Its bytes, its f32 values and the values before the steps lie in the
 * memory of the cast kernels, so that nothing is copied between reading and writing.
 */

import { floatDtypeOf, MatrixLoader } from "../adapters/load-matrix.ts";
import type { Kernels } from "../core/cast/kernels.ts";
import { floatBytes } from "../core/dtype.ts";
import { NonFiniteError } from "../core/errors.ts";
import { elementCount } from "../core/shape.ts";
import type { Gemm } from "../engine/gemm.ts";
import { readTensorRangeSync } from "../formats/byte-source.ts";
import { placeOf } from "../formats/tensor-store.ts";
import type { TensorWork } from "./jobs.ts";
import { prepareSteps } from "./steps/prepare.ts";
import type { ReadyStep, Tile } from "./steps/tile.ts";

/** What a job did, for the report. */
export interface TensorStats {
  readonly elements: number;
  /** Elements whose output bits differ from what the base alone would give. */
  readonly changed: number;
  /** Elements whose delta vanished in the rounding. */
  readonly lost: number;
}

/** A finished tile: its bytes, where they belong in the tensor, and the values they were rounded from. */
export interface FinishedTile extends Tile {
  readonly bytes: Uint8Array;
  readonly byteOffset: number;
  /** The tensor's values without the steps. */
  readonly before: Float32Array;
}

export type TileSink = (tile: FinishedTile) => void;

/** Bytes of kernel memory that tiles of `elements` need: raw bytes, values, values before. */
export function tileMemoryBytes(elements: number): number {
  return 3 * (4 * elements + 64);
}

export class TensorExecutor {
  readonly #checkpoint: () => void;
  readonly #kernels: Kernels;
  readonly #gemm: Gemm;
  /** Loads factors through this executor's kernels. */
  readonly loader: MatrixLoader;
  readonly #elements: number;
  readonly #bytes: Uint8Array;
  readonly #values: Float32Array;
  readonly #before: Float32Array;

  /** @param checkpoint called before each tile; may throw to end the job */
  constructor(kernels: Kernels, gemm: Gemm, elements: number, checkpoint: () => void) {
    this.#checkpoint = checkpoint;
    this.#kernels = kernels;
    this.#gemm = gemm;
    this.loader = new MatrixLoader(kernels);
    this.#elements = elements;
    this.#bytes = kernels.allocate(4 * elements);
    this.#values = floatsOf(kernels.allocate(4 * elements));
    this.#before = floatsOf(kernels.allocate(4 * elements));
  }

  /** @throws {NonFiniteError} naming the tensor, when a result is not finite in the output dtype */
  run(job: TensorWork, write: TileSink): Promise<TensorStats> {
    return this.loader.pool.scope(() => this.#run(job, write));
  }

  async #run(job: TensorWork, write: TileSink): Promise<TensorStats> {
    const target = floatDtypeOf(job.source, job.dtype);
    const width = floatBytes(target);
    const ready = await prepareSteps(job.steps, {
      gemm: this.#gemm,
      loader: this.loader,
      source: job.source,
      rows: job.rows,
      columns: job.columns,
      forEachTile: (visit) => this.#forEachTile(job, 0, job.rows, visit),
    });
    let [changed, lost] = [0, 0];
    await this.#forEachTile(job, job.rowStart, job.rowEnd, async (tile) => {
      const before = this.#before.subarray(0, tile.values.length);
      before.set(tile.values);
      for (const apply of ready) await apply(tile);
      const bytes = this.#bytes.subarray(0, tile.values.length * width);
      // While the dtype stays, the raw bytes still stand where the result goes.
      const original = job.dtype === job.source.dtype ? bytes : undefined;
      const counts = this.#kernels.narrowCounting(target, tile.values, before, bytes, original);
      if (counts.nonFinite > 0) throw nonFinite(job, counts.nonFinite, tile.values, before);
      changed += counts.changed;
      lost += counts.lost;
      write({ ...tile, bytes, byteOffset: tile.rowStart * job.columns * width, before });
    });
    return { elements: (job.rowEnd - job.rowStart) * job.columns, changed, lost };
  }

  async #forEachTile(job: TensorWork, rowStart: number, rowEnd: number, visit: ReadyStep): Promise<void> {
    const dtype = floatDtypeOf(job.source);
    const width = floatBytes(dtype);
    // f64 needs twice the bytes of a value on its way in or out.
    const widest = Math.max(4, width, floatBytes(floatDtypeOf(job.source, job.dtype)));
    const rowsOfTile = Math.max(1, Math.floor((this.#elements * 4) / widest / job.columns));
    for (let row = rowStart; row < rowEnd; row += rowsOfTile) {
      this.#checkpoint();
      const rows = Math.min(rowsOfTile, rowEnd - row);
      const count = rows * job.columns;
      const raw = this.#bytes.subarray(0, count * width);
      readTensorRangeSync(job.source, row * job.columns * width, raw);
      const values = this.#values.subarray(0, count);
      this.#kernels.widen(dtype, raw, values);
      await this.loader.pool.scope(() => visit({ values, rowStart: row, rows, columns: job.columns }));
    }
  }
}

function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Names the tensor, its file, and who is to blame: the base, the deltas or the dtype of the output. */
function nonFinite(job: TensorWork, count: number, values: Float32Array, before: Float32Array): NonFiniteError {
  const total = elementCount(job.source.shape) ?? 0;
  const hint = !before.every(Number.isFinite)
    ? "the base itself holds NaN or infinity there"
    : !values.every(Number.isFinite)
      ? "the adapter holds NaN or infinity, or its deltas are far too large"
      : `the numbers are too large for ${job.dtype}: choose another --dtype, or keep the base's`;
  return new NonFiniteError(`${count} of ${total} results are not finite as ${job.dtype}`, {
    ...placeOf(job.source),
    // An untied end has a name of its own, and the numbers of the other.
    subject: job.name,
    hint,
  });
}
