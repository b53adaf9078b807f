/**
 * What `convert` tells its caller: the object that `--json` prints and that the command line words.
 */

import type { Adapter, LayerKind, Layout } from "../adapters/adapter.ts";
import { fullName } from "../adapters/full-name.ts";
import { sumRoundings } from "../adapters/output/multiply.ts";
import type { WrittenFiles } from "../adapters/output/write-files.ts";
import type { FormatName } from "../formats/registry.ts";

export interface ConvertedModule {
  /** In the new layout. */
  readonly name: string;
  readonly kind: LayerKind;
  readonly rank: number;
  readonly alpha: number;
  /** What a reader of the new layout multiplies the factors with. */
  readonly scale: number;
}

export type ConvertReport = AdapterConversion | ModelConversion;

export interface AdapterConversion {
  readonly kind: "adapter";
  readonly input: string;
  readonly out: string;
  /** `LoRA`, `DoRA` … */
  readonly method: string;
  readonly from: Layout;
  readonly to: Layout;
  readonly modules: readonly ConvertedModule[];
  /** What was folded, renamed or could not be carried over. */
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** The rest is there once something was written. */
  readonly result?: {
    /** Elements that were multiplied on the way. */
    readonly elements: number;
    /** Elements that are not exactly the product. */
    readonly rounded: number;
    /** The largest error of them, relative to the exact product. */
    readonly largestError: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly files: readonly string[];
  };
}

export interface ModelConversion {
  readonly kind: "model";
  readonly input: string;
  readonly out: string;
  readonly from: FormatName;
  readonly to: FormatName;
  /** `model_type` of its config.json; `undefined` where it has none. */
  readonly modelType: string | undefined;
  /** Weights, and what they take. */
  readonly tensors: number;
  readonly bytes: number;
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** There once something was written. */
  readonly result?: { readonly seconds: number; readonly files: readonly string[] };
}

export function describeModules({ modules }: Adapter): ConvertedModule[] {
  return modules.map((module) => {
    const { kind, rank, alpha, scale } = module;
    return { name: fullName(module), kind, rank, alpha, scale };
  });
}

export function describeResult(
  { bytes, files, roundings }: WrittenFiles,
  seconds: number,
): NonNullable<AdapterConversion["result"]> {
  const { elements, rounded, largestError } = sumRoundings(roundings);
  return { elements, rounded, largestError, bytes, seconds, files };
}
