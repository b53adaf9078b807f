/**
 * The settings from which PEFT's LoKr makes factors of the sizes that the modules have (PEFT 0.21.2 `lokr/layer.py`): both
 * sizes of a layer are cut by one `decompose_factor`; w1 [a, b] is a product where `decompose_both` and r < max(a, b) / 2,
 * w2 [c, d, kernel …] where r < max(c, d) / 2.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { formatShape } from "../../../core/shape.ts";
import type { LokrModule } from "./written-lycoris.ts";

export interface LokrSizes {
  /** `r` of each module: its rank, and where both matrices are whole one that keeps them so. */
  readonly ranks: ReadonlyMap<LokrModule, number>;
  readonly settings: JsonObject;
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the module that PEFT would cut otherwise */
export function lokrSizes(modules: readonly LokrModule[]): LokrSizes {
  const sizes = modules.map((module) => ({ module, ...sizesOf(module) }));
  const largest = Math.max(...sizes.flatMap(({ first }) => first));
  const misfits = [-1, largest].map((factor) => ({ factor, misfit: sizes.find((size) => !isCutBy(factor, size)) }));
  const fitting = misfits.find(({ misfit }) => misfit === undefined);
  if (fitting === undefined) {
    const { module, first, second } = misfits.at(-1)?.misfit ?? sizes[0] ?? { first: [], second: [] };
    const layer = formatShape(first.map((size, axis) => size * (second[axis] ?? 0)));
    throw refusal(
      module,
      `PEFT cuts all layers by one decompose_factor, which does not give ${formatShape(first)} for a layer of ${layer}`,
    );
  }
  const both = sizes.some(({ module }) => module.delta.w1.length === 2);
  const withCores = modules.some(({ delta }) => delta.t2 !== undefined);
  const ranks = new Map(sizes.map((size) => [size.module, rankFor(size, both)]));
  return {
    ranks,
    settings: new Map<string, boolean | number>([
      ["decompose_both", both],
      ["decompose_factor", fitting.factor],
      ["rank_dropout_scale", false],
      ["use_effective_conv2d", withCores],
    ]),
  };
}

interface Sizes {
  readonly module: LokrModule;
  /** [a, b] of w1 */
  readonly first: readonly [number, number];
  /** [c, d] of w2, kernels left out where they can be told */
  readonly second: readonly [number, number];
}

function sizesOf({ delta: { w1, w2, t2 } }: LokrModule): Omit<Sizes, "module"> {
  return { first: sizeOf(w1, false), second: sizeOf(w2, t2 !== undefined) };
}

function sizeOf([a, b]: LokrModule["delta"]["w1"], rankFirst: boolean): readonly [number, number] {
  if (b === undefined) return [a.shape[0] ?? 0, a.shape[1] ?? 0];
  return [a.shape[rankFirst ? 1 : 0] ?? 0, b.shape[1] ?? 0];
}

function isCutBy(factor: number, { first, second }: Sizes): boolean {
  return first.every((size, axis) => factorise(size * (second[axis] ?? 0), factor) === size);
}

/** The first of the two sizes into which PEFT cuts one: the factor where it divides, else the largest divisor up to it and √size. */
function factorise(size: number, factor: number): number {
  if (factor > 0 && size % factor === 0) return factor;
  const most = factor === -1 ? size : factor;
  let divisor = 1;
  for (let next = 2; next <= most && next * next <= size; next++) if (size % next === 0) divisor = next;
  return divisor;
}

function rankFor({ module, first, second }: Sizes, both: boolean): number {
  const { w1, w2 } = module.delta;
  const halves = { w1: Math.max(...first) / 2, w2: Math.max(...second) / 2 };
  const whole = w1.length === 1 && w2.length === 1;
  const least = Math.max(1, Math.ceil(halves.w2), both ? Math.ceil(halves.w1) : 0);
  const rank = whole ? Math.max(module.rank, least) : module.rank;
  const cutsFirst = both && rank < halves.w1;
  const cutsSecond = rank < halves.w2;
  if (cutsFirst === (w1.length === 2) && cutsSecond === (w2.length === 2)) return rank;
  const wrong = cutsFirst === (w1.length === 2) ? "w2" : "w1";
  const has = module.delta[wrong].length === 2 ? "a product" : "whole";
  throw refusal(
    module,
    `PEFT has its lokr_${wrong} of rank ${rank} ${has === "whole" ? "as a product" : "whole"}, here it is ${has}`,
  );
}

function refusal(module: LokrModule | undefined, problem: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, {
    ...(module !== undefined && { subject: module.name }),
    hint: "merge it into its base instead",
  });
}
