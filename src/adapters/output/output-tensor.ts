/**
 * Tensors to be written, as matrices that are put together from rectangles of stored ones: copied, turned, cut, stacked,
 * padded with zeros, multiplied. Plain data; the numbers stay on disk until the file is filled.
 */

import type { Dtype } from "../../core/dtype.ts";
import { elementCount, type Shape } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { FrameEntry } from "../../formats/weights-frame.ts";
import { type MatrixView, matrixOf } from "../matrix.ts";

/** Element (i, j) of the view, times the factor, is element (rowStart + i · rowStep, columnStart + j · columnStep). */
export interface Block {
  readonly view: MatrixView;
  /** In double precision, rounded once; with 1 and the same dtype the bits stay. */
  readonly factor: number;
  readonly rowStart: number;
  readonly rowStep: number;
  readonly columnStart: number;
  readonly columnStep: number;
}

/** A tensor as [rows, columns] in C order; zero where no block lies. */
export interface OutputTensor extends FrameEntry {
  readonly columns: number;
  readonly blocks: readonly Block[];
}

export function blockOf(view: MatrixView, more: Partial<Omit<Block, "view">> = {}): Block {
  return { view, factor: 1, rowStart: 0, rowStep: 1, columnStart: 0, columnStep: 1, ...more };
}

/** A stored tensor as it is, under a name and shape of its own. */
export function copyOf(tensor: TensorData, name = tensor.name, shape: Shape = tensor.shape): OutputTensor {
  const columns = elementCount(tensor.shape) ?? 0;
  return { name, dtype: tensor.dtype, shape, columns, blocks: [blockOf(matrixOf(tensor, 1, columns))] };
}

/** A matrix as a tensor of the same shape, unless another is given, times a factor. */
export function tensorOfView(name: string, view: MatrixView, factor = 1, shape?: Shape): OutputTensor {
  const { rows, columns } = view;
  return stacked(name, shape ?? [rows, columns], columns, [blockOf(view, { factor })]);
}

/** Blocks put together, in the dtype that they need. */
export function stacked(name: string, shape: Shape, columns: number, blocks: readonly Block[]): OutputTensor {
  return { name, dtype: commonDtype(blocks), shape, columns, blocks };
}

/** The same numbers in f32. */
export function inF32(tensor: OutputTensor): OutputTensor {
  return { ...tensor, dtype: "f32" };
}

/** Whether every product with the factor is exact, but for what leaves the range of the dtype. */
export function isExactFactor(factor: number): boolean {
  return factor === 0 || Number.isInteger(Math.log2(Math.abs(factor)));
}

/**
 * The dtype that all blocks have, else f32. Products that would be rounded more coarsely become f32 as well: a conversion
 * costs a delta one rounding to f32 at most, whatever the dtype of the adapter.
 */
function commonDtype(blocks: readonly Block[]): Dtype {
  const dtypes = blocks.map(({ view: { tensor }, factor }) =>
    tensor.dtype === "f64" || isExactFactor(factor) ? tensor.dtype : "f32",
  );
  const [first = "f32"] = dtypes;
  return dtypes.every((dtype) => dtype === first) ? first : "f32";
}
