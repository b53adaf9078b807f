/**
 * Where the weight of a layer, seen as [outputs, inputs], lies in tensors of the base: whole, transposed (HF Conv1D,
 * embeddings), stacked with other experts, or in parts.
 */

import { elementCount } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";

/** A rectangle of a layer's weight and the rectangle of a tensor that holds it. */
export interface Placement {
  readonly tensor: TensorData;
  /** [rows, columns] of the tensor's storage. */
  readonly view: readonly [rows: number, columns: number];
  readonly rowStart: number;
  readonly columnStart: number;
  /** The tensor holds [inputs, outputs]. */
  readonly transposed: boolean;
  /** Which part of the layer. */
  readonly firstOutput: number;
  readonly outputs: number;
  readonly firstInput: number;
  readonly inputs: number;
}

export interface Layer {
  readonly outputs: number;
  readonly inputs: number;
  readonly placements: readonly Placement[];
}

/** [rows, columns] of a tensor: the first dimension and all others; a vector is one row. */
export function storageView({ shape }: TensorData): readonly [rows: number, columns: number] {
  const [first = 1, ...rest] = shape;
  return rest.length === 0 ? [1, first] : [first, elementCount(rest) ?? 0];
}

/** A layer that is one whole tensor. */
export function wholeLayer(tensor: TensorData, transposed: boolean, rows = storageView(tensor)[0]): Layer {
  const [, columns] = storageView(tensor);
  const [outputs, inputs] = transposed ? [columns, rows] : [rows, columns];
  const part = { firstOutput: 0, outputs, firstInput: 0, inputs };
  return {
    outputs,
    inputs,
    placements: [{ tensor, view: [rows, columns], rowStart: 0, columnStart: 0, transposed, ...part }],
  };
}

/** Whether the part of the layer is all of it and fills the tensor. */
export function isWhole({ view, outputs, inputs }: Placement, layer: Layer): boolean {
  return outputs === layer.outputs && inputs === layer.inputs && view[0] * view[1] === outputs * inputs;
}
