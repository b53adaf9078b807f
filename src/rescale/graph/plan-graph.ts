/**
 * LoRA branches of an ONNX graph → ranks and scales after rescaling, and the constants that change with them.
 *
 * A graph has no flag and no alpha: the scale is what it multiplies a branch with, in one number or several, or is folded
 * into the factors already. `bake` leaves ones there; an alpha goes into one of the numbers, ones into the others.
 */

import type { AdapterModule } from "../../adapters/adapter.ts";
import { holdsFactors, layerName, moduleOf } from "../../adapters/branch-adapter.ts";
import { roundTo } from "../../core/cast/float-codec.ts";
import { isFloatDtype } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { quote, summarise } from "../../core/text.ts";
import type { LoraBranch } from "../../formats/onnx/branches/find-branches.ts";
import type { ScaleNumber } from "../../formats/onnx/branches/scale-chain.ts";
import { planOneConvention } from "../layouts/one-convention.ts";
import type { RescaleOptions } from "../options.ts";
import { folds, type ModulePlan } from "../plan.ts";

export interface BranchPlan {
  readonly branch: LoraBranch;
  readonly module: ModulePlan;
  /** What the constants of the scale become, in the order of the branch. */
  readonly numbers: readonly number[];
}

export interface GraphPlan {
  readonly branches: readonly BranchPlan[];
  readonly warnings: readonly string[];
}

/**
 * @param file how errors name the graph
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT without branches; UNSUPPORTED_ADAPTER for those that the wish does not fit
 */
export function planGraph(file: string, branches: readonly LoraBranch[], options: RescaleOptions): GraphPlan {
  const held = branches.filter(holdsFactors);
  const waiting = branches.filter((branch) => !holdsFactors(branch));
  if (held.length === 0) {
    const problem = "an ONNX graph without LoRA branches is no adapter";
    const hint = "expected sums of a layer and a product with two factors that the graph holds";
    throw new UnsupportedError("UNSUPPORTED_FORMAT", problem, { file, hint });
  }
  for (const branch of folds(options) ? waiting : []) {
    if (branch.scale === 1) continue;
    throw refusal(file, branch, `its factors come from outside of the graph, so its scale ${branch.scale} must stay`);
  }
  const modules = held.map((branch) => moduleOf(branch, file));
  if (options.flatten) assertOneRank(file, modules);
  const names = waiting.map((branch) => quote(layerName(branch)));
  const warnings = names.length === 0 ? [] : [`branches that wait for factors stay as they are: ${summarise(names)}`];
  return { branches: held.map((branch) => planBranch(file, branch, options)), warnings };
}

function planBranch(file: string, branch: LoraBranch, options: RescaleOptions): BranchPlan {
  const { scaleNumbers } = branch;
  const place = placeOfScale(scaleNumbers);
  const [module] = planOneConvention([moduleOf(branch, file)], options, file, (wanted, rank) => {
    const scale = place === undefined ? 1 : storedScale(place, wanted);
    if (place === undefined && wanted !== 1) {
      throw refusal(file, branch, "the graph multiplies the branch with no number, so its scale is always 1");
    }
    if (!Number.isFinite(scale) || scale === 0) {
      throw refusal(file, branch, `the number of its scale cannot hold ${wanted}`);
    }
    return { alpha: scale * rank, scale };
  });
  if (module === undefined) throw new RangeError("a branch is a module");
  const wanted = module.alpha / module.rank;
  const numbers = scaleNumbers.map((one) => {
    if (!folds(options)) return one.number;
    return one === place ? roundNumber(one, wanted) : 1;
  });
  const plan = { branch, module, numbers };
  if (changes(plan)) assertChangeable(file, branch);
  return plan;
}

/** Whether any constant gets another value. */
export function changes({ branch, module, numbers }: BranchPlan): boolean {
  return module.factor !== 1 || branch.scaleNumbers.some(({ number }, index) => number !== numbers[index]);
}

/** The number that a scale other than 1 goes into. */
function placeOfScale(numbers: readonly ScaleNumber[]): ScaleNumber | undefined {
  return numbers.find(({ divides }) => !divides) ?? numbers[0];
}

/** What the constant can hold for a wanted scale. */
function roundNumber({ held, divides }: ScaleNumber, wanted: number): number {
  const { dtype } = held.use.constant.tensor.data;
  return isFloatDtype(dtype) ? roundTo(dtype, divides ? 1 / wanted : wanted) : Number.NaN;
}

/** The scale that readers compute from it. */
function storedScale(place: ScaleNumber, wanted: number): number {
  const number = roundNumber(place, wanted);
  return place.divides ? 1 / number : number;
}

function assertOneRank(file: string, modules: readonly AdapterModule[]): void {
  const ranks = new Set(modules.map(({ rank }) => rank));
  if (ranks.size <= 1) return;
  const problem = `a graph computes with the ranks that its factors have, here ${[...ranks].join(", ")}: they stay`;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, hint: "leave out --flatten" });
}

/** Values between the factors change when the scale moves into `up`: nothing else may read them. */
function assertChangeable(file: string, branch: LoraBranch): void {
  const { links, partlyScaled, up } = branch;
  if (up.held?.parameter.isQuantized)
    throw refusal(file, branch, "lora_B is quantised, so no scale can be folded into it");
  const read = partlyScaled.find((name) => links.results.has(name) || (links.readers.get(name) ?? []).length !== 1);
  if (read === undefined) return;
  throw refusal(file, branch, `its scale cannot be folded: something else reads ${quote(read)} before it is scaled`);
}

function refusal(file: string, branch: LoraBranch, problem: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject: layerName(branch) });
}
