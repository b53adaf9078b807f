/**
 * Methods on elements, for adapters: the deltas of one module are made tile by tile, joined, and what comes out is
 * approximated by factors. Or the same on the factors themselves, as PEFT has it.
 */

import type { MatrixLoader } from "../../../adapters/load-matrix.ts";
import { denseSvd } from "../../../adapters/low-rank/dense-svd.ts";
import type { FactorJob, FactorResult } from "../../../adapters/low-rank/factor-job.ts";
import { finishFactors } from "../../../adapters/low-rank/finish-factors.ts";
import type { ProductFactors } from "../../../adapters/low-rank/module-factors.ts";
import type { LowRankSvd } from "../../../adapters/low-rank/product-svd.ts";
import type { FactorTools, WriteBytes } from "../../../adapters/low-rank/serve-factor-jobs.ts";
import type { MatrixTile, TileMatrix } from "../../../adapters/low-rank/tile-products.ts";
import type { ElementMethod } from "../method.ts";
import type { ChosenMethod } from "../options.ts";
import { METHODS } from "../registry.ts";
import { type DeltaTile, prepareSelection, type Select } from "../selection.ts";

export interface ElementJob extends FactorJob {
  readonly kind: "elements";
  readonly method: ChosenMethod;
  /** One for each adapter that has the module. */
  readonly deltas: readonly AdapterDelta[];
}

export interface AdapterDelta {
  /** Position among all adapters. */
  readonly adapter: number;
  /** Of the adapter. */
  readonly weight: number;
  /** Of the module in it. */
  readonly scale: number;
  /** One for each expert. */
  readonly products: readonly ProductFactors[];
}

/** Elements of a tile: 4 MB of f32. */
const TILE_ELEMENTS = 1024 * 1024;

export async function runElements(
  job: ElementJob,
  tools: FactorTools,
  write: WriteBytes | undefined,
): Promise<FactorResult> {
  const method = METHODS[job.method.name];
  if (method.kind !== "elements") throw new Error(`${job.method.name} is no method on elements`);
  const select = await prepareSelection(method.selection, {
    settings: job.method.settings,
    adapters: job.deltas.map(({ adapter }) => adapter),
    name: job.name,
    sizes: job.deltas.map(() => job.experts * job.outputs * job.inputs),
    forEachTile: async (visit) => {
      for (let expert = 0; expert < job.experts; expert++) {
        await forEachDeltaTile(job, expert, tools, async ({ deltas, start }) => visit({ deltas, start }));
      }
    },
  });
  const products = { fast: tools.gemm, exact: tools.gemm };
  const decompositions: LowRankSvd[] = [];
  for (let expert = 0; expert < job.experts; expert++) {
    const matrix = joinedMatrix(job, expert, method, select, tools);
    decompositions.push(await denseSvd(products, matrix, job.target, false));
  }
  return finishFactors(job, decompositions, tools, write);
}

/** What the method makes of the deltas of one expert. */
function joinedMatrix(
  job: ElementJob,
  expert: number,
  method: ElementMethod,
  select: Select,
  tools: FactorTools,
): TileMatrix {
  const weights = job.deltas.map(({ weight }) => weight);
  return {
    rows: job.outputs,
    columns: job.inputs,
    forEachTile: (visit) =>
      forEachDeltaTile(job, expert, tools, async ({ rowStart, rows, values, ...tile }) => {
        select(tile);
        values.fill(0);
        method.join(tile.deltas, weights, job.method.settings, values);
        await visit({ rowStart, rows, values });
      }),
  };
}

/** Tiles of the deltas of one expert, made anew in each pass; `values` is room for what becomes of them. */
async function forEachDeltaTile(
  job: ElementJob,
  expert: number,
  { gemm, loader, checkpoint }: FactorTools,
  visit: (tile: DeltaTile & MatrixTile) => Promise<void>,
): Promise<void> {
  const { outputs, inputs, deltas } = job;
  const rowsOfTile = Math.max(1, Math.floor(TILE_ELEMENTS / inputs));
  await loader.pool.scope(async () => {
    const downs = deltas.map(({ products }) => productOf(products, expert)).map(({ down }) => loader.matrix(down));
    for (let rowStart = 0; rowStart < outputs; rowStart += rowsOfTile) {
      checkpoint();
      const rows = Math.min(rowsOfTile, outputs - rowStart);
      await loader.pool.scope(async () => {
        const tiles: Float32Array[] = [];
        for (const [at, { products, scale }] of deltas.entries()) {
          const { up, diagonal } = productOf(products, expert);
          const left = scaledRows(loader, { up, diagonal }, rowStart, rows, scale);
          const target = loader.pool.take(rows * inputs);
          const right = downs[at] ?? new Float32Array();
          await gemm.multiply({ m: rows, n: inputs, k: up.columns, left, right, target });
          tiles.push(target);
        }
        const start = (expert * outputs + rowStart) * inputs;
        await visit({ rowStart, rows, start, deltas: tiles, values: loader.pool.take(rows * inputs) });
      });
    }
  });
}

function productOf(products: readonly ProductFactors[], expert: number): ProductFactors {
  const product = products[expert];
  if (product === undefined) throw new RangeError(`no expert ${expert}`);
  return product;
}

/** Rows of scale · up · diag(diagonal). */
function scaledRows(
  loader: MatrixLoader,
  { up, diagonal }: Pick<ProductFactors, "up" | "diagonal">,
  start: number,
  count: number,
  scale: number,
): Float32Array {
  const values = loader.rows(up, start, count);
  for (let index = 0; index < values.length; index++) {
    values[index] = scale * (diagonal?.[index % up.columns] ?? 1) * (values[index] ?? 0);
  }
  return values;
}
