/**
 * What `rescale` tells its caller: the object that `--json` prints and that the command line words.
 */

import type { AdapterModule, Convention, LayerKind, Layout } from "../adapters/adapter.ts";
import { fullName } from "../adapters/full-name.ts";
import { type Rounding, sumRoundings } from "../adapters/output/multiply.ts";
import type { ModulePlan } from "./plan.ts";

export interface RescaledModule {
  readonly name: string;
  readonly kind: LayerKind;
  /** Of one expert for stacked experts. */
  readonly rank: number;
  /** After padding. */
  readonly rankAfter: number;
  readonly alphaBefore: number;
  readonly alphaAfter: number;
  readonly scaleBefore: number;
  /** What a reader computes from the new settings, in double precision. */
  readonly scaleAfter: number;
  /** What `up` and its bias were multiplied by; 1: their bytes stay. */
  readonly factor: number;
  /**
   * Whether scale · up is exactly what it was: the scale bit for bit, or no product rounded. Before anything is written
   * (`dryRun`), products count as rounded unless the factor is a power of two.
   */
  readonly exact: boolean;
}

export interface RescaledWeights {
  /** Elements of the tensors that were multiplied. */
  readonly elements: number;
  /** Elements that are not exactly scale · before. */
  readonly rounded: number;
  /** The largest error of them, relative to the exact product. */
  readonly largestError: number;
}

export interface RescaleReport {
  readonly out: string;
  readonly adapter: string;
  /** `onnx-graph`: LoRA branches of an ONNX graph. */
  readonly layout: Layout | "onnx-graph";
  /** `LoRA`, `DoRA` … */
  readonly method: string;
  readonly from: Convention;
  /** As asked for. */
  readonly to: Convention;
  /** By which readers take the alphas that were written: `to`, or `lora` where the layout has no flag for another. */
  readonly convention: Convention;
  /** `same`: byte for byte as they were. */
  readonly weights: "same" | "rewritten";
  readonly modules: readonly RescaledModule[];
  /** What readers of the layout need or cannot be told. */
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** The rest is there once something was written. */
  readonly result?: RescaledWeights & {
    readonly bytes: number;
    readonly seconds: number;
    readonly files: readonly string[];
  };
}

/**
 * The rows of the report.
 *
 * @param after the modules as a reader sees them with the new settings, in the same order
 * @param roundings by name of the tensor; `undefined` before anything is written
 */
export function describeModules(
  plans: readonly ModulePlan[],
  after: readonly AdapterModule[],
  roundings: ReadonlyMap<string, Rounding> | undefined,
): RescaledModule[] {
  return plans.map((modulePlan, index) => {
    const { module, rank, factor } = modulePlan;
    const { alpha = Number.NaN, scale = Number.NaN } = after[index] ?? {};
    return {
      name: fullName(module),
      kind: module.kind,
      rank: module.rank,
      rankAfter: rank,
      alphaBefore: module.alpha,
      alphaAfter: alpha,
      scaleBefore: module.scale,
      scaleAfter: scale,
      factor,
      exact: scale * factor === module.scale && productsAreExact(modulePlan, roundings),
    };
  });
}

/** What rounding did to all products together. */
export function describeRoundings(roundings: ReadonlyMap<string, Rounding>): RescaledWeights {
  const { elements, rounded, largestError } = sumRoundings(roundings);
  return { elements, rounded, largestError };
}

function productsAreExact(
  { module, factor }: ModulePlan,
  roundings: ReadonlyMap<string, Rounding> | undefined,
): boolean {
  if (roundings === undefined) return Number.isInteger(Math.log2(factor));
  const touched = [module.delta.kind === "lora" ? module.delta.up : undefined, module.bias];
  return touched.every((tensor) => tensor === undefined || (roundings.get(tensor.name)?.rounded ?? 0) === 0);
}
