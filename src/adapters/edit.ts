/**
 * What adapters do to base tensors, as plain data: the contract between the meaning of adapters (`resolve`) and the
 * work of merging, which knows nothing of adapters.
 *
 * A base tensor is seen as [rows, columns] in its own storage order (a bias as [1, n], a convolution as [out, in·k…],
 * stacked experts as [E·d1, d2]). Steps run in order in f32 or better on that view; the result is rounded once.
 */

import type { TensorData } from "../formats/tensor-store.ts";
import type { MatrixView } from "./matrix.ts";

/** W[rowStart…, columnStart…] += scale · diag(rowFactors) · left [m, k] · diag(diagonal) · right [k, n] · diag(columnFactors). */
export interface LowRankStep {
  readonly kind: "low-rank";
  readonly scale: number;
  readonly rowStart: number;
  readonly columnStart: number;
  readonly left: MatrixView;
  readonly right: MatrixView;
  /** [k] */
  readonly diagonal?: TensorData;
  /** [m] */
  readonly rowFactors?: TensorData;
  /** [n] */
  readonly columnFactors?: TensorData;
}

/** W += scale · (left1 · right1) ∘ (left2 · right2). */
export interface HadamardStep {
  readonly kind: "hadamard";
  readonly scale: number;
  readonly first: MatrixProduct;
  readonly second: MatrixProduct;
}

/** W += scale · kron(first, second). */
export interface KroneckerStep {
  readonly kind: "kronecker";
  readonly scale: number;
  readonly first: MatrixView | MatrixProduct;
  readonly second: MatrixView | MatrixProduct;
}

export interface MatrixProduct {
  readonly left: MatrixView;
  readonly right: MatrixView;
}

/** W[rowStart…, :] += scale · values [m, columns]. */
export interface AddStep {
  readonly kind: "add";
  readonly scale: number;
  readonly rowStart: number;
  readonly values: MatrixView;
}

/** W = values [rows, columns]: a replacement that the base stores the other way round. */
export interface AssignStep {
  readonly kind: "assign";
  readonly values: MatrixView;
}

/** W[i, j] *= 1 + weight · (vector[i or j] − 1). */
export interface ScaleStep {
  readonly kind: "scale";
  readonly axis: "rows" | "columns";
  readonly weight: number;
  readonly vector: TensorData;
}

/** W[indices[i], :] += weight · (values[i, :] − W[indices[i], :]); exactly the values when weight is 1. Or columns. */
export interface ReplaceRowsStep {
  readonly kind: "replace-rows";
  /** What the indices count. */
  readonly axis: "rows" | "columns";
  readonly weight: number;
  readonly indices: readonly number[];
  readonly values: TensorData;
}

/**
 * DoRA (arXiv 2402.09353): V = W after `inner`; W += weight · (magnitude / ‖V‖ · V − W), norms along each row or column of
 * the storage view, without epsilon.
 */
export interface MagnitudeStep {
  readonly kind: "magnitude";
  readonly axis: "rows" | "columns";
  readonly weight: number;
  readonly magnitude: TensorData;
  readonly inner: readonly (LowRankStep | AddStep)[];
}

/**
 * W −= weight · what the initialisation took out of the base. PiSSA (arXiv 2404.02948): the best approximation of the given rank. OLoRA
 * (arXiv 2406.01775): scale · Q[:, :rank] · R[:rank, :] of W = QR.
 */
export interface ResidualStep {
  readonly kind: "residual";
  readonly initialisation: "pissa" | "olora";
  readonly rank: number;
  readonly scale: number;
  readonly weight: number;
  /** The layer's [out, in] is the transpose of the storage view (HF Conv1D). */
  readonly transposed: boolean;
}

export type Step =
  | LowRankStep
  | HadamardStep
  | KroneckerStep
  | AddStep
  | AssignStep
  | ScaleStep
  | ReplaceRowsStep
  | MagnitudeStep
  | ResidualStep;

/** Whether an edit starts anew, whatever the base's numbers are. */
export function replacesWhole({ replacement, steps }: Pick<TensorEdit, "replacement" | "steps">): boolean {
  return replacement !== undefined || steps[0]?.kind === "assign";
}

export interface TensorEdit {
  /** Name of the tensor in the output: one of the base's, or the untied end of an embedding. */
  readonly tensor: string;
  /** The adapter module or parameter that asks for it, for reports and errors. */
  readonly module: string;
  /** The whole tensor is replaced first: shape and numbers come from here. */
  readonly replacement?: TensorData;
  /** [rows, columns] of the storage view after the replacement. */
  readonly view: readonly [rows: number, columns: number];
  readonly steps: readonly Step[];
  /** Both ends of a tied embedding get this edit, so that they stay tied. */
  readonly bothEnds: boolean;
}

/** Everything that one adapter does to one base. */
export interface ResolvedAdapter {
  readonly edits: readonly TensorEdit[];
  /** Names of adapter tensors that ended in an edit or were consciously spent (alphas, masks). */
  readonly used: ReadonlySet<string>;
  /** One finished, escaped line for each misfit of shape, meaning or name (several candidates). */
  readonly problems: readonly string[];
  /** One finished, escaped line for each module or parameter that has no counterpart in the base. */
  readonly unmatched: readonly string[];
  readonly warnings: readonly string[];
}
