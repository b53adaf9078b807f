/**
 * The modules of the combined adapter: side by side, cut by singular value decomposition, or element by element.
 */

import type { AdapterModule } from "../../../adapters/adapter.ts";
import { MatrixLoader } from "../../../adapters/load-matrix.ts";
import { type CutJob, cutAll } from "../../../adapters/low-rank/cut.ts";
import { factorDtype } from "../../../adapters/low-rank/factor-dtype.ts";
import { type FactorJob, type FactorResult, factorTensors } from "../../../adapters/low-rank/factor-job.ts";
import { type DoneJob, runFactorJobs } from "../../../adapters/low-rank/run-jobs.ts";
import type { OutputTensor } from "../../../adapters/output/output-tensor.ts";
import { plannedTensor, writeScratch } from "../../../adapters/output/write-scratch.ts";
import { createKernels } from "../../../core/cast/kernels.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { ChosenMethod } from "../options.ts";
import { METHODS } from "../registry.ts";
import { joinBiases } from "./biases.ts";
import type { ElementJob } from "./element-job.ts";
import { combineFactors } from "./factor-wise.ts";
import type { MatchedModule } from "./match.ts";
import type { CombineOptions } from "./options.ts";
import { putSideBySide, type SideBySide } from "./side-by-side.ts";

export interface NewModule {
  readonly module: AdapterModule;
  readonly adapters: number;
  /** `undefined`: nothing was approximated. */
  readonly result: FactorResult | undefined;
}

/** @param scratch path of an empty file; `undefined`: nothing is written, and nothing may be read from the result */
export async function makeModules(
  matched: readonly MatchedModule[],
  method: ChosenMethod,
  options: CombineOptions,
  scratch: string | undefined,
): Promise<NewModule[]> {
  if (options.factorWise) return makeFactorWise(matched, method);
  const { kind } = METHODS[method.name];
  if (!needsDecomposition(method)) return makeSideBySide(matched, options, scratch);
  const done =
    kind === "sum"
      ? await runCuts(matched, method, options, scratch)
      : await runElements(matched, method, options, scratch);
  return matched.flatMap((one, index) => {
    const made = done[index];
    if (made === undefined) return [];
    const { job, result } = made;
    const place = job.place ?? { path: "", offset: 0 };
    const factors = factorTensors(job, place, result.rank, one.parts[0].factors.inputShape);
    const delta = { kind: "lora", ...factors } as const;
    return [{ module: newModule(one, { delta, rank: result.rank, scale: 1 }), adapters: one.parts.length, result }];
  });
}

/** Whether factors are computed anew instead of put side by side. */
export function needsDecomposition({ name, rank }: ChosenMethod): boolean {
  const method = METHODS[name];
  return method.kind === "elements" || method.cuts || rank !== undefined;
}

async function makeFactorWise(matched: readonly MatchedModule[], method: ChosenMethod): Promise<NewModule[]> {
  const made: NewModule[] = [];
  const loader = new MatrixLoader(createKernels());
  for (const one of matched) {
    const factors = await combineFactors(one, method, loader);
    made.push({ module: newModule(one, { ...factors, scale: 1 }), adapters: one.parts.length, result: undefined });
  }
  return made;
}

async function makeSideBySide(
  matched: readonly MatchedModule[],
  options: CombineOptions,
  scratch: string | undefined,
): Promise<NewModule[]> {
  const sides = matched.map((one) => inDtype(putSideBySide(one), options.dtype));
  const planned = sides.flatMap(({ up, down }) => [up, down]);
  const tensors: TensorData[] =
    scratch === undefined
      ? planned.map((tensor) => plannedTensor(tensor))
      : await writeScratch(scratch, planned, options);
  return matched.flatMap((one, index) => {
    const [side, up, down] = [sides[index], tensors[2 * index], tensors[2 * index + 1]];
    if (side === undefined || up === undefined || down === undefined) return [];
    const { rank, scale } = side;
    const module = newModule(one, { delta: { kind: "lora", up, down }, rank, scale });
    return [{ module, adapters: one.parts.length, result: undefined }];
  });
}

function inDtype(side: SideBySide, dtype: CombineOptions["dtype"] = "keep"): SideBySide {
  if (dtype === "keep") return side;
  const as = (tensor: OutputTensor) => ({ ...tensor, dtype });
  return { ...side, up: as(side.up), down: as(side.down) };
}

function runCuts(
  matched: readonly MatchedModule[],
  method: ChosenMethod,
  options: CombineOptions,
  scratch: string | undefined,
): Promise<readonly DoneJob<CutJob>[]> {
  const jobs = matched.map((one) => {
    const [first] = one.parts;
    const sums = first.factors.products.map((_, expert) =>
      one.parts.flatMap(({ factors, weight }) => {
        const product = factors.products[expert];
        return product === undefined ? [] : [{ ...product, weight }];
      }),
    );
    return { kind: "cut" as const, ...jobOf(one, method, options), sums };
  });
  return cutAll(jobs, scratch, options);
}

function runElements(
  matched: readonly MatchedModule[],
  method: ChosenMethod,
  options: CombineOptions,
  scratch: string | undefined,
): Promise<readonly DoneJob<ElementJob>[]> {
  const jobs = matched.map((one) => {
    const deltas = one.parts.map(({ adapter, module: { scale }, factors: { products }, adapterWeight }) => ({
      adapter,
      weight: adapterWeight,
      scale,
      products,
    }));
    return { kind: "elements" as const, ...jobOf(one, method, options), method, deltas };
  });
  const module = new URL("./worker.js", import.meta.url);
  return runFactorJobs<ElementJob>({ jobs, module, settings: {}, scratch }, { ...options, device: "cpu" });
}

/** What the jobs of both kinds have in common. */
function jobOf({ name, parts }: MatchedModule, method: ChosenMethod, { dtype = "keep" }: CombineOptions) {
  const [{ factors, file }] = parts;
  const ranks = parts.map(({ module }) => module.rank);
  const { outputs, inputs } = factors;
  const row = METHODS[method.name];
  const all = row.kind === "sum" && row.cuts ? Math.max(...ranks) : ranks.reduce((sum, rank) => sum + rank, 0);
  const target = { rank: Math.min(method.rank ?? all, outputs, inputs) };
  const deltas = parts.flatMap(({ module: { delta } }) => (delta.kind === "lora" ? [delta] : []));
  const up = factorDtype(
    dtype,
    deltas.map((delta) => delta.up),
  );
  const down = factorDtype(
    dtype,
    deltas.map((delta) => delta.down),
  );
  return { name, file, experts: factors.products.length, outputs, inputs, target, dtypes: { up, down } } satisfies Omit<
    FactorJob,
    "kind" | "place"
  >;
}

/** The module of the result; what is neither factor nor bias is the first adapter's. */
function newModule(
  one: MatchedModule,
  { delta, rank, scale }: Pick<AdapterModule, "delta" | "rank" | "scale">,
): AdapterModule {
  const [{ module }] = one.parts;
  const { bias: _bias, baseWeight: _weight, expertLayout, ...rest } = module;
  const bias = joinBiases(one, scale);
  return {
    ...rest,
    delta,
    rank,
    scale,
    alpha: module.alpha,
    ...(bias && { bias }),
    ...(expertLayout && { expertLayout: { ...expertLayout, order: "rank-major" } }),
  };
}
