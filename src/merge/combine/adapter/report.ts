/**
 * What `combine` tells its caller: the object that `--json` prints and that the command line words.
 */

import type { Adapter, Convention, LayerKind } from "../../../adapters/adapter.ts";
import { fullName } from "../../../adapters/full-name.ts";
import type { FactorResult } from "../../../adapters/low-rank/factor-job.ts";
import { relativeError } from "../../../adapters/low-rank/relative-error.ts";
import type { AdapterSummary } from "../../report.ts";
import type { MethodName } from "../registry.ts";

export interface CombinedModule {
  readonly name: string;
  readonly kind: LayerKind;
  /** How many adapters have it. */
  readonly adapters: number;
  /** Of one expert for stacked experts. */
  readonly rank: number;
  readonly alpha: number;
  readonly scale: number;
  /**
   * ‖factors − what the method gives‖ / ‖what the method gives‖, Frobenius norms; 0 where factors stand side by side,
   * `undefined` where the method works on the factors themselves.
   */
  readonly error: number | undefined;
}

export interface CombineReport {
  readonly out: string;
  readonly method: MethodName;
  readonly factorWise: boolean;
  readonly adapters: readonly AdapterSummary[];
  /** Of the result. */
  readonly convention: Convention;
  readonly modules: readonly CombinedModule[];
  readonly warnings: readonly string[];
  /** The rest is there once something was written. */
  readonly result?: {
    readonly bytes: number;
    readonly seconds: number;
    readonly files: readonly string[];
  };
}

/** What was made of one module. */
export interface MadeModule {
  readonly name: string;
  readonly adapters: number;
  /** `undefined`: nothing was approximated. */
  readonly result: FactorResult | undefined;
}

/** @param after the result as a reader sees it */
export function describeModules(made: readonly MadeModule[], after: Adapter, factorWise: boolean): CombinedModule[] {
  const read = new Map(after.modules.map((module) => [fullName(module), module]));
  return made.flatMap(({ name, adapters, result }) => {
    const module = read.get(name);
    if (module === undefined) return [];
    const { kind, rank, alpha, scale } = module;
    return [{ name, kind, adapters, rank, alpha, scale, error: factorWise ? undefined : relativeError([result]) }];
  });
}
