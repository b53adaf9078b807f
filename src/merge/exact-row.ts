/**
 * One row of an edited tensor in double precision, by plain loops and without the engine: the second opinion of `verify`.
 */

import type { MatrixLoader } from "../adapters/load-matrix.ts";
import type { MergeStep } from "./combine/combine-step.ts";

/** Steps that a single row decides; the others need the whole tensor or a product that is only made by the engine. */
const ROW_STEPS: ReadonlySet<MergeStep["kind"]> = new Set([
  "low-rank",
  "add",
  "assign",
  "scale",
  "replace-rows",
  "magnitude",
]);

/** Whether a row of the result depends on that row of the base and on the factors only. */
export function isRowWise(steps: readonly MergeStep[]): boolean {
  return steps.every((step) => ROW_STEPS.has(step.kind) && !(step.kind === "magnitude" && step.axis === "columns"));
}

export interface ExactRow {
  readonly values: Float64Array;
  /** For each element the sum of the absolute values of everything that was added up: the size of rounding errors. */
  readonly sizes: Float64Array;
  /** Longest sum of products behind an element. */
  readonly terms: number;
}

/** Row `row` after the steps; `steps` must satisfy `isRowWise`. */
export function exactRow(base: Float32Array, row: number, steps: readonly MergeStep[], loader: MatrixLoader): ExactRow {
  const values = Float64Array.from(base);
  const sizes = values.map(Math.abs);
  let terms = 0;
  for (const step of steps) terms += applyToRow({ values, sizes }, row, step, loader);
  return { values, sizes, terms };
}

type Row = Pick<ExactRow, "values" | "sizes">;

/** Applies one step and returns how many products it summed for an element. */
function applyToRow({ values, sizes }: Row, row: number, step: MergeStep, loader: MatrixLoader): number {
  const columns = values.length;
  const add = (column: number, amount: number) => {
    values[column] = (values[column] ?? 0) + amount;
    sizes[column] = (sizes[column] ?? 0) + Math.abs(amount);
  };
  switch (step.kind) {
    case "low-rank": {
      const own = row - step.rowStart;
      if (own < 0 || own >= step.left.rows) return 0;
      const left = loader.rows(step.left, own, 1);
      const right = loader.matrix(step.right);
      const [diagonal, rowFactors, columnFactors] = [step.diagonal, step.rowFactors, step.columnFactors].map(
        (tensor) => (tensor === undefined ? undefined : loader.vector(tensor)),
      );
      const width = step.right.columns;
      for (let k = 0; k < left.length; k++) {
        const factor = step.scale * (left[k] ?? 0) * (diagonal?.[k] ?? 1) * (rowFactors?.[own] ?? 1);
        for (let column = 0; column < width; column++) {
          add(step.columnStart + column, factor * (right[k * width + column] ?? 0) * (columnFactors?.[column] ?? 1));
        }
      }
      return left.length;
    }
    case "add": {
      const own = row - step.rowStart;
      if (own < 0 || own >= step.values.rows) return 0;
      const added = loader.rows(step.values, own, 1);
      for (let column = 0; column < columns; column++) add(column, step.scale * (added[column] ?? 0));
      return 1;
    }
    case "assign": {
      values.set(loader.rows(step.values, row, 1));
      sizes.set(values.map(Math.abs));
      return 1;
    }
    case "scale": {
      const vector = loader.vector(step.vector);
      for (let column = 0; column < columns; column++) {
        const factor = 1 + step.weight * ((vector[step.axis === "rows" ? row : column] ?? 1) - 1);
        values[column] = (values[column] ?? 0) * factor;
        sizes[column] = (sizes[column] ?? 0) * Math.abs(factor);
      }
      return 1;
    }
    case "replace-rows": {
      const replaced = loader.vector(step.values);
      const move = (column: number, value = 0) => add(column, step.weight * (value - (values[column] ?? 0)));
      if (step.axis === "columns") {
        const length = step.values.shape[1] ?? 0;
        step.indices.forEach((column, index) => void move(column, replaced[index * length + row]));
        return 1;
      }
      const index = step.indices.lastIndexOf(row);
      if (index < 0) return 0;
      for (let column = 0; column < columns; column++) move(column, replaced[index * columns + column]);
      return 1;
    }
    case "magnitude": {
      const before = values.slice();
      let terms = 0;
      for (const inner of step.inner) terms += applyToRow({ values, sizes }, row, inner, loader);
      const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
      const factor = (loader.vector(step.magnitude)[row] ?? 0) / norm;
      for (let column = 0; column < columns; column++) {
        const old = before[column] ?? 0;
        values[column] = old + step.weight * (factor * (values[column] ?? 0) - old);
        sizes[column] = (sizes[column] ?? 0) * Math.max(1, Math.abs(factor));
      }
      // The rounding of the norm reaches every element like one more product.
      return terms + 1;
    }
    default:
      throw new Error(`a ${step.kind} step has no row of its own`);
  }
}
