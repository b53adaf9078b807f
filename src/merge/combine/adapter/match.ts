/**
 * The modules of several adapters side by side, by name; everything that does not fit is named in one error.
 */

import type { Adapter, AdapterModule, ExpertOrder } from "../../../adapters/adapter.ts";
import { fullName } from "../../../adapters/full-name.ts";
import { type ModuleFactors, moduleFactors } from "../../../adapters/low-rank/module-factors.ts";
import { MismatchError, UnsupportedError } from "../../../core/errors.ts";
import { formatShape, sameShape } from "../../../core/shape.ts";
import { quote } from "../../../core/text.ts";
import type { WeightedAdapter } from "../../provenance.ts";

/** What one adapter brings to a module. */
export interface ModulePart {
  /** Position among the adapters. */
  readonly adapter: number;
  readonly module: AdapterModule;
  readonly factors: ModuleFactors;
  /** Of the adapter. */
  readonly adapterWeight: number;
  /** That times the scale of the module. */
  readonly weight: number;
  readonly file: string;
}

/** One module in the adapters that have it, in their order; at least one. */
export interface MatchedModule {
  readonly name: string;
  readonly parts: readonly [ModulePart, ...ModulePart[]];
}

/**
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for what has no factors, or a delta that depends on the base
 * @throws {MismatchError} ADAPTER_MISMATCH with every module whose shapes differ
 */
export function matchModules(adapters: readonly WeightedAdapter[], order: ExpertOrder | undefined): MatchedModule[] {
  const matched = new Map<string, ModulePart[]>();
  for (const [index, { adapter, weight }] of adapters.entries()) {
    assertCombinable(adapter, adapters.length === 1 && weight === 1);
    for (const module of adapter.modules) {
      const name = fullName(module);
      const factors = moduleFactors(module, "combining", order);
      const weights = { adapterWeight: weight, weight: weight * module.scale };
      const part = { adapter: index, module, factors, ...weights, file: adapter.path };
      matched.set(name, [...(matched.get(name) ?? []), part]);
    }
  }
  const problems: string[] = [];
  const modules = Array.from(matched, ([name, [first, ...others]]): MatchedModule[] => {
    if (first === undefined) return [];
    for (const other of others) problems.push(...misfits(name, first, other));
    return [{ name, parts: [first, ...others] }];
  }).flat();
  if (problems.length > 0) {
    throw new MismatchError("ADAPTER_MISMATCH", "the adapters do not fit each other", problems, {
      hint: "adapters can be combined when they were trained on one base: lora-tool inspect shows both",
    });
  }
  return modules;
}

function assertCombinable(adapter: Adapter, isAlone: boolean): void {
  const { path: file, flatNames, modules } = adapter;
  const refuse = (problem: string, details: { subject?: string; hint?: string } = {}) =>
    new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, ...details });
  if (flatNames) {
    const hint = "lora-tool convert --base <model> --to peft finds the paths in the base";
    throw refuse("names of modules are flattened, PEFT needs their paths", { hint });
  }
  const reordered = modules.find(({ interleavedHeads }) => interleavedHeads !== undefined);
  if (reordered !== undefined) {
    const hint = "lora-tool convert --base <model> --to peft puts them in order";
    throw refuse("its rows are in llama.cpp's order, which only the base undoes", { subject: reordered.name, hint });
  }
  if (isAlone) return;
  const dora = modules.find(({ magnitude }) => magnitude !== undefined);
  if (dora !== undefined) {
    const hint = "merge adapters with DoRA into their base one after the other";
    throw refuse("DoRA depends on the base and cannot be combined", { subject: dora.name, hint });
  }
  const changed = modules.find(({ residual }) => residual !== undefined);
  if (changed !== undefined) {
    const hint = "merge it into its base, then extract an adapter from the two models";
    throw refuse("its initialisation changed the base, so it cannot be combined", { subject: changed.name, hint });
  }
}

function misfits(name: string, a: ModulePart, b: ModulePart): string[] {
  const experts = [a, b].map(({ factors }) => factors.products.length);
  const sizes = [a, b].map(({ factors }) => [factors.outputs, ...factors.inputShape]);
  const [first = [], second = []] = sizes;
  if (a.module.kind !== b.module.kind || experts[0] !== experts[1]) {
    return [`${quote(name)}: ${describe(a, experts[0])} in one adapter, ${describe(b, experts[1])} in another`];
  }
  if (!sameShape(first, second)) {
    return [
      `${quote(name)}: for a weight of ${formatShape(first)} in one adapter, of ${formatShape(second)} in another`,
    ];
  }
  if (a.module.expertLayout?.swapped !== b.module.expertLayout?.swapped) {
    return [`${quote(name)}: its experts are laid out by different versions of PEFT`];
  }
  return [];
}

function describe({ module }: ModulePart, experts: number | undefined): string {
  return module.kind === "experts" ? `${experts} experts` : module.kind;
}
