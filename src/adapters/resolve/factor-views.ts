/**
 * The factors of a low-rank delta as up [out, rank] · down [rank, in · kernel], however the file stores them.
 */

import { elementCount } from "../../core/shape.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { LoraDelta } from "../adapter.ts";
import { type MatrixView, matrixOf, transpose } from "../matrix.ts";
import { storageView } from "./placement.ts";
import { contractCore } from "./product-deltas.ts";

export interface FactorViews {
  readonly up: MatrixView;
  readonly down: MatrixView;
}

/** @throws {Misfit} when a core does not fit its factors */
export function factorViews(delta: LoraDelta): FactorViews {
  const up = storedMatrix(delta.up, delta.transposed === "both");
  const down = storedMatrix(delta.down, delta.transposed !== undefined);
  return delta.core === undefined ? { up, down } : { up, down: contractCore(delta.core, down, up.columns) };
}

/** Outputs and inputs that the factors are made for, kernels counted as inputs. */
export function factorSize(delta: LoraDelta): { readonly outputs: number; readonly inputs: number } {
  const up = storedMatrix(delta.up, delta.transposed === "both");
  const down = storedMatrix(delta.down, delta.transposed !== undefined);
  return { outputs: up.rows, inputs: down.columns * (elementCount(delta.core?.shape.slice(2) ?? []) ?? 0) };
}

/** Dimensions of the layer's weight behind its outputs: [in, kernel …]; `undefined` where the file turned them. */
export function inputShape({ down, core, transposed }: LoraDelta): readonly number[] | undefined {
  if (transposed !== undefined) return undefined;
  return core === undefined ? down.shape.slice(1) : [storageView(down)[1], ...core.shape.slice(2)];
}

function storedMatrix(tensor: TensorData, transposed: boolean): MatrixView {
  const view = matrixOf(tensor, ...storageView(tensor));
  return transposed ? transpose(view) : view;
}
