/**
 * One row of an edited tensor in double precision, by plain loops and without the engine: the second opinion of `verify`.
 */

import type { LowRankStep, MagnitudeStep, ReplaceRowsStep } from "../adapters/edit.ts";
import type { MatrixLoader } from "../adapters/load-matrix.ts";
import { norm } from "../core/norm.ts";
import type { MergeStep } from "./combine/combine-step.ts";

/** Whether a row of the result depends on that row of the base and on the factors only. */
export function isRowWise(steps: readonly MergeStep[]): boolean {
  return steps.every(
    (step) => ROW_RULES[step.kind] !== "whole tensor" && !(step.kind === "magnitude" && step.axis === "columns"),
  );
}

export interface ExactRow {
  readonly values: Float64Array;
  /** For each element the sum of the absolute values of everything that was added up: the size of rounding errors. */
  readonly sizes: Float64Array;
  /** Longest sum of products behind an element. */
  readonly terms: number;
}

/** Row `index` after the steps; `steps` must satisfy `isRowWise`. */
export function exactRow(
  base: Float32Array,
  index: number,
  steps: readonly MergeStep[],
  loader: MatrixLoader,
): ExactRow {
  const row = new Row(index, Float64Array.from(base), loader);
  let terms = 0;
  for (const step of steps) terms += applyTo(row, step);
  return { values: row.values, sizes: row.sizes, terms };
}

class Row {
  readonly index: number;
  readonly values: Float64Array;
  readonly sizes: Float64Array;
  readonly loader: MatrixLoader;

  constructor(index: number, values: Float64Array, loader: MatrixLoader) {
    this.index = index;
    this.values = values;
    this.sizes = values.map(Math.abs);
    this.loader = loader;
  }

  add(column: number, amount: number): void {
    this.values[column] = (this.values[column] ?? 0) + amount;
    this.sizes[column] = (this.sizes[column] ?? 0) + Math.abs(amount);
  }

  multiply(column: number, factor: number): void {
    this.values[column] = (this.values[column] ?? 0) * factor;
    this.sizes[column] = (this.sizes[column] ?? 0) * Math.abs(factor);
  }
}

/** Applies one step and returns how many products it summed for an element. */
type RowRule<Kind extends MergeStep["kind"]> = (row: Row, step: Extract<MergeStep, { kind: Kind }>) => number;

/** Steps that a single row decides; the others need the whole tensor or a product that is only made by the engine. */
const ROW_RULES: { readonly [Kind in MergeStep["kind"]]: RowRule<Kind> | "whole tensor" } = {
  "low-rank": addProduct,
  add: (row, { values, rowStart, scale }) => {
    const own = row.index - rowStart;
    if (own < 0 || own >= values.rows) return 0;
    for (const [column, value] of row.loader.rows(values, own, 1).entries()) row.add(column, scale * value);
    return 1;
  },
  assign: (row, { values }) => {
    row.values.set(row.loader.rows(values, row.index, 1));
    row.sizes.set(row.values.map(Math.abs));
    return 1;
  },
  scale: (row, { axis, weight, vector }) => {
    const factors = row.loader.vector(vector);
    for (const column of row.values.keys()) {
      row.multiply(column, 1 + weight * ((factors[axis === "rows" ? row.index : column] ?? 1) - 1));
    }
    return 1;
  },
  "replace-rows": replaceRows,
  magnitude: rescale,
  hadamard: "whole tensor",
  kronecker: "whole tensor",
  residual: "whole tensor",
  combine: "whole tensor",
};

function applyTo<Kind extends MergeStep["kind"]>(row: Row, step: Extract<MergeStep, { kind: Kind }>): number {
  const rule = ROW_RULES[step.kind as Kind];
  if (rule === "whole tensor") throw new Error(`a ${step.kind} step has no row of its own`);
  return rule(row, step);
}

function addProduct(row: Row, step: LowRankStep): number {
  const own = row.index - step.rowStart;
  if (own < 0 || own >= step.left.rows) return 0;
  const { loader } = row;
  const [left, right] = [loader.rows(step.left, own, 1), loader.matrix(step.right)];
  const [diagonal, rowFactors, columnFactors] = [step.diagonal, step.rowFactors, step.columnFactors].map((tensor) =>
    tensor === undefined ? undefined : loader.vector(tensor),
  );
  const width = step.right.columns;
  for (const [k, value] of left.entries()) {
    const factor = step.scale * value * (diagonal?.[k] ?? 1) * (rowFactors?.[own] ?? 1);
    for (let column = 0; column < width; column++) {
      row.add(step.columnStart + column, factor * (right[k * width + column] ?? 0) * (columnFactors?.[column] ?? 1));
    }
  }
  return left.length;
}

function replaceRows(row: Row, { axis, weight, indices, values }: ReplaceRowsStep): number {
  const replaced = row.loader.vector(values);
  const move = (column: number, value = 0) => row.add(column, weight * (value - (row.values[column] ?? 0)));
  if (axis === "columns") {
    const length = values.shape[1] ?? 0;
    for (const [at, column] of indices.entries()) move(column, replaced[at * length + row.index]);
    return 1;
  }
  const at = indices.lastIndexOf(row.index);
  if (at < 0) return 0;
  const columns = row.values.length;
  for (let column = 0; column < columns; column++) move(column, replaced[at * columns + column]);
  return 1;
}

function rescale(row: Row, step: MagnitudeStep): number {
  const { values, sizes } = row;
  const before = values.slice();
  let terms = 0;
  for (const inner of step.inner) terms += applyTo(row, inner);
  const factor = (row.loader.vector(step.magnitude)[row.index] ?? 0) / norm(values);
  for (const [column, old] of before.entries()) {
    values[column] = old + step.weight * (factor * (values[column] ?? 0) - old);
    sizes[column] = (sizes[column] ?? 0) * Math.max(1, Math.abs(factor));
  }
  // The rounding of the norm reaches every element like one more product.
  return terms + 1;
}
