/**
 * What `resize` tells its caller: the object that `--json` prints and that the command line words.
 */

import type { Adapter, AdapterModule, Convention, LayerKind, Layout } from "../../adapters/adapter.ts";
import { fullName } from "../../adapters/full-name.ts";
import type { FactorResult } from "../../adapters/low-rank/factor-job.ts";
import { relativeError } from "../../adapters/low-rank/relative-error.ts";

export interface ResizedModule {
  readonly name: string;
  readonly kind: LayerKind;
  /** Of one expert for stacked experts. */
  readonly rankBefore: number;
  readonly rank: number;
  readonly alpha: number;
  /** What a reader computes from the new settings: the same as before. */
  readonly scale: number;
  /** ‖new delta − delta‖ / ‖delta‖, Frobenius norms, the rounding to the dtype counted; 0 for a delta of zero. */
  readonly error: number;
}

export interface ResizeReport {
  readonly out: string;
  readonly adapter: string;
  /** `LoRA`, `DoRA` … */
  readonly method: string;
  readonly layout: Layout;
  readonly convention: Convention;
  readonly modules: readonly ResizedModule[];
  /** The same as of one module, over all that were cut. */
  readonly error: number;
  /** What the layout made of the new factors: folded scales, padded ranks. */
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** The rest is there once something was written. */
  readonly result?: {
    readonly bytes: number;
    readonly seconds: number;
    readonly files: readonly string[];
  };
}

/**
 * The rows of the report.
 *
 * @param after the adapter as a reader sees it
 * @param results `undefined` for modules that stay as they are
 */
export function describeModules(
  before: readonly AdapterModule[],
  after: Adapter,
  results: readonly (FactorResult | undefined)[],
): ResizedModule[] {
  const read = new Map(after.modules.map((module) => [fullName(module), module]));
  return before.map((module, index) => {
    const name = fullName(module);
    const { rank = 0, alpha = Number.NaN, scale = Number.NaN } = read.get(name) ?? {};
    return {
      name,
      kind: module.kind,
      rankBefore: module.rank,
      rank,
      alpha,
      scale,
      error: relativeError([results[index]]),
    };
  });
}
