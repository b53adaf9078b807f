/**
 * What the step files share: a tile of rows held in f32, and a step made ready to be applied to tiles.
 */

import type { MatrixLoader } from "../../adapters/load-matrix.ts";
import type { Gemm } from "../../engine/gemm.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { MergeStep } from "../combine/combine-step.ts";

/** Some rows of the storage view of one tensor. */
export interface Tile {
  /** [rows, columns], changed in place. */
  readonly values: Float32Array;
  /** The first row's index in the tensor. */
  readonly rowStart: number;
  readonly rows: number;
  readonly columns: number;
}

export type ReadyStep = (tile: Tile) => Promise<void>;

export interface StepContext {
  readonly gemm: Gemm;
  readonly loader: MatrixLoader;
  /** The tensor before the steps, for errors. */
  readonly source: TensorData;
  /** Of the tensor's storage view. */
  readonly rows: number;
  readonly columns: number;
  /** The steps before this one. */
  readonly earlier: readonly ReadyStep[];
  /** Reads the unedited tensor tile by tile. */
  readonly forEachTile: (visit: ReadyStep) => Promise<void>;
}

/** Loads what every tile needs and returns what to do with one. */
export type PrepareStep<Kind extends MergeStep["kind"]> = (
  step: Extract<MergeStep, { kind: Kind }>,
  context: StepContext,
) => Promise<ReadyStep>;
