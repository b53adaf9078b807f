/**
 * How the layouts plug into rescaling: each plans its new files from the old ones.
 */

import type { Adapter, Convention } from "../../adapters/adapter.ts";
import type { AdapterOutput } from "../../adapters/output/write-files.ts";
import type { TensorStore } from "../../formats/tensor-store.ts";
import type { RescaleOptions } from "../options.ts";
import type { ModulePlan } from "../plan.ts";

/** An adapter and what its files hold. */
export interface RescaleSource {
  readonly adapter: Adapter;
  /** All tensors of the weights file. */
  readonly store: TensorStore;
  /** Of the settings beside the weights; `undefined` where the layout has none. */
  readonly settings: { readonly text: string; readonly path: string } | undefined;
}

export interface PlannedRescale {
  readonly from: Convention;
  readonly modules: readonly ModulePlan[];
  /** Where nothing in the weights file changes, its bytes are copied instead. */
  readonly output: AdapterOutput;
  /** Whether the weights file becomes another. */
  readonly rewrites: boolean;
  /** What the layout cannot say; finished, escaped lines. */
  readonly notes: readonly string[];
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER for what cannot be folded or said */
export type Rescaler = (source: RescaleSource, options: RescaleOptions) => PlannedRescale;
