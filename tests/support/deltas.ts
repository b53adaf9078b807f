/** The deltas of an adapter in double precision, by plain loops over the stored factors. */

import { moduleFactors, type ProductFactors } from "../../src/adapters/low-rank/module-factors.ts";
import type { MatrixView } from "../../src/adapters/matrix.ts";
import { openAdapter } from "../../src/adapters/open-adapter.ts";
import { numbersOf } from "./read-tensor.ts";

export interface OwnDelta {
  readonly rank: number;
  readonly alpha: number;
  readonly scale: number;
  /** scale · up · down, [experts ·] [outputs, inputs]. */
  readonly values: Float64Array;
}

/** By module, and parameter where there is one. */
export async function deltasOf(path: string): Promise<ReadonlyMap<string, OwnDelta>> {
  const { modules } = await openAdapter(path);
  return new Map(
    modules.map((module) => {
      const { products, outputs, inputs } = moduleFactors(module, "a test");
      const values = new Float64Array(products.length * outputs * inputs);
      for (const [index, product] of products.entries()) {
        values.set(multiplied(product, module.scale), index * outputs * inputs);
      }
      const { rank, alpha, scale, name, parameter } = module;
      return [parameter === undefined ? name : `${name}.${parameter}`, { rank, alpha, scale, values }];
    }),
  );
}

/** ‖a − b‖, Frobenius. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} numbers against ${b.length}`);
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += ((a[index] ?? 0) - (b[index] ?? 0)) ** 2;
  return Math.sqrt(sum);
}

export function norm(values: ArrayLike<number>): number {
  return distance(values, new Float64Array(values.length));
}

function multiplied({ up, down, diagonal }: ProductFactors, scale: number): Float64Array {
  const [left, right] = [reader(up), reader(down)];
  const out = new Float64Array(up.rows * down.columns);
  for (let row = 0; row < up.rows; row++) {
    for (let inner = 0; inner < up.columns; inner++) {
      const factor = scale * left(row, inner) * (diagonal?.[inner] ?? 1);
      for (let column = 0; column < down.columns; column++) {
        const at = row * down.columns + column;
        out[at] = (out[at] ?? 0) + factor * right(inner, column);
      }
    }
  }
  return out;
}

function reader(view: MatrixView): (row: number, column: number) => number {
  const numbers = numbersOf(view.tensor);
  return (row, column) => numbers[view.offset + row * view.rowStride + column * view.columnStride] ?? Number.NaN;
}
