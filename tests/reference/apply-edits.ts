/**
 * A naive second implementation of edits: whole tensors in memory, plain loops in f64, every kind of step. Slow and
 * obvious, to compare the real one and the meaning of adapters with.
 */

import type { MatrixProduct, Step, TensorEdit } from "../../src/adapters/edit.ts";
import type { MatrixView } from "../../src/adapters/matrix.ts";
import { decodeElement } from "../../src/core/cast/float-codec.ts";
import { DTYPE_BITS, isFloatDtype } from "../../src/core/dtype.ts";
import { oloraFactors, pissaFactors } from "../../src/core/linear-algebra/initialisation.ts";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";

/** [rows, columns], C order. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** The tensor after all edits, in their order. `base` is undefined where only a replacement gives numbers. */
export function applyEdits(base: TensorData | undefined, edits: readonly TensorEdit[]): Float64Array {
  const source = edits.find((edit) => edit.replacement !== undefined)?.replacement ?? base;
  if (source === undefined) throw new Error("nothing to edit");
  const values = numbersOf(source);
  for (const { view, steps } of edits) {
    const [rows, columns] = view;
    if (rows * columns !== values.length) throw new Error(`view [${view}] of ${values.length} elements`);
    for (const step of steps) apply(step, { rows, columns, values });
  }
  return values;
}

export function numbersOf(tensor: TensorData): Float64Array {
  const { dtype } = tensor;
  if (!isFloatDtype(dtype)) throw new Error(`${tensor.name} is ${dtype}`);
  const bytes = readTensorBytes(tensor);
  const width = DTYPE_BITS[dtype] / 8;
  return Float64Array.from({ length: bytes.length / width }, (_, index) => decodeElement(dtype, bytes, index * width));
}

function apply(step: Step, weights: Matrix): void {
  const { rows, columns, values } = weights;
  switch (step.kind) {
    case "low-rank": {
      const left = matrixOf(step.left);
      const right = matrixOf(step.right);
      const [diagonal, ofRows, ofColumns] = [step.diagonal, step.rowFactors, step.columnFactors].map((tensor) =>
        tensor === undefined ? undefined : numbersOf(tensor),
      );
      if (left.columns !== right.rows) throw new Error("inner dimensions differ");
      if (step.rowStart + left.rows > rows || step.columnStart + right.columns > columns) throw new Error("outside");
      for (let i = 0; i < left.rows; i++) {
        for (let j = 0; j < right.columns; j++) {
          let sum = 0;
          for (let k = 0; k < left.columns; k++) sum += at(left, i, k) * (diagonal?.[k] ?? 1) * at(right, k, j);
          const factors = (ofRows?.[i] ?? 1) * (ofColumns?.[j] ?? 1);
          add(weights, step.rowStart + i, step.columnStart + j, step.scale * factors * sum);
        }
      }
      return;
    }
    case "add": {
      const added = matrixOf(step.values);
      if (step.rowStart + added.rows > rows || added.columns !== columns) throw new Error("outside");
      for (let i = 0; i < added.rows; i++) {
        for (let j = 0; j < columns; j++) add(weights, step.rowStart + i, j, step.scale * at(added, i, j));
      }
      return;
    }
    case "assign": {
      const assigned = matrixOf(step.values);
      if (assigned.rows !== rows || assigned.columns !== columns) throw new Error("another shape");
      values.set(assigned.values);
      return;
    }
    case "scale": {
      const vector = numbersOf(step.vector);
      if (vector.length !== (step.axis === "rows" ? rows : columns)) throw new Error("vector length");
      forEach(weights, (value, i, j) => value * (1 + step.weight * ((vector[step.axis === "rows" ? i : j] ?? 0) - 1)));
      return;
    }
    case "replace-rows": {
      const replaced = numbersOf(step.values);
      const length = step.axis === "rows" ? columns : rows;
      for (const [index, line] of step.indices.entries()) {
        for (let along = 0; along < length; along++) {
          const [i, j] = step.axis === "rows" ? [line, along] : [along, line];
          const old = at(weights, i, j);
          values[i * columns + j] = old + step.weight * ((replaced[index * length + along] ?? Number.NaN) - old);
        }
      }
      return;
    }
    case "hadamard": {
      const [first, second] = [product(step.first), product(step.second)];
      forEach(weights, (value, i, j) => value + step.scale * at(first, i, j) * at(second, i, j));
      return;
    }
    case "kronecker": {
      const [first, second] = [matrixOrProduct(step.first), matrixOrProduct(step.second)];
      if (first.rows * second.rows !== rows || first.columns * second.columns !== columns) throw new Error("kron size");
      forEach(
        weights,
        (value, i, j) =>
          value +
          step.scale *
            at(first, Math.floor(i / second.rows), Math.floor(j / second.columns)) *
            at(second, i % second.rows, j % second.columns),
      );
      return;
    }
    case "magnitude": {
      const before = { rows, columns, values: values.slice() };
      for (const inner of step.inner) apply(inner, weights);
      const magnitude = numbersOf(step.magnitude);
      const byRow = step.axis === "rows";
      const squares = new Float64Array(byRow ? rows : columns);
      forEach(weights, (value, i, j) => {
        squares[byRow ? i : j] = (squares[byRow ? i : j] ?? 0) + value * value;
        return value;
      });
      if (magnitude.length !== squares.length) throw new Error("magnitude length");
      forEach(weights, (value, i, j) => {
        const line = byRow ? i : j;
        const target = ((magnitude[line] ?? 0) / Math.sqrt(squares[line] ?? 0)) * value;
        return at(before, i, j) + step.weight * (target - at(before, i, j));
      });
      return;
    }
    case "residual": {
      const layer = step.transposed ? transposed(weights) : weights;
      const factors = step.initialisation === "pissa" ? pissaFactors : oloraFactors;
      const { left, right } = factors(layer.values.slice(), layer.rows, layer.columns, step.rank);
      const scale = step.weight * (step.initialisation === "olora" ? step.scale : 1);
      for (let i = 0; i < layer.rows; i++) {
        for (let j = 0; j < layer.columns; j++) {
          let sum = 0;
          for (let k = 0; k < step.rank; k++) {
            sum += (left[i * step.rank + k] ?? 0) * (right[k * layer.columns + j] ?? 0);
          }
          if (step.transposed) add(weights, j, i, -scale * sum);
          else add(weights, i, j, -scale * sum);
        }
      }
    }
  }
}

function matrixOf(view: MatrixView): Matrix {
  const numbers = numbersOf(view.tensor);
  const values = new Float64Array(view.rows * view.columns);
  for (let i = 0; i < view.rows; i++) {
    for (let j = 0; j < view.columns; j++) {
      const value = numbers[view.offset + i * view.rowStride + j * view.columnStride];
      if (value === undefined) throw new Error(`view of ${view.tensor.name} leaves the tensor`);
      values[i * view.columns + j] = value;
    }
  }
  return { rows: view.rows, columns: view.columns, values };
}

function product({ left, right }: MatrixProduct): Matrix {
  const [a, b] = [matrixOf(left), matrixOf(right)];
  if (a.columns !== b.rows) throw new Error("inner dimensions differ");
  const values = new Float64Array(a.rows * b.columns);
  const out = { rows: a.rows, columns: b.columns, values };
  for (let k = 0; k < a.columns; k++) forEach(out, (value, i, j) => value + at(a, i, k) * at(b, k, j));
  return out;
}

function matrixOrProduct(factor: MatrixView | MatrixProduct): Matrix {
  return "tensor" in factor ? matrixOf(factor) : product(factor);
}

function transposed(matrix: Matrix): Matrix {
  const values = new Float64Array(matrix.values.length);
  forEach(matrix, (value, i, j) => {
    values[j * matrix.rows + i] = value;
    return value;
  });
  return { rows: matrix.columns, columns: matrix.rows, values };
}

function at({ columns, values }: Matrix, row: number, column: number): number {
  return values[row * columns + column] ?? Number.NaN;
}

function add({ columns, values }: Matrix, row: number, column: number, amount: number): void {
  values[row * columns + column] = (values[row * columns + column] ?? Number.NaN) + amount;
}

function forEach(
  { rows, columns, values }: Matrix,
  change: (value: number, row: number, column: number) => number,
): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const index = row * columns + column;
      values[index] = change(values[index] ?? Number.NaN, row, column);
    }
  }
}
