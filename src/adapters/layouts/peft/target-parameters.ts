/**
 * Which parameter the factors of a module adapt, where that is not its weight: PEFT's `target_parameters`, whose names are
 * in the settings only, and nn.MultiheadAttention.
 *
 * Several parameters of one module are nested wrappers: the innermost (most `base_layer`) is the one that the module
 * registers first, whatever the order of the list (PEFT 0.21.2 `ParamWrapper`).
 */

import { quote, summarise } from "../../../core/text.ts";
import type { PeftConfig } from "./config.ts";
import type { ModuleEntry } from "./entries.ts";
import type { Problems } from "./problems.ts";
import { unsupported } from "./unsupported.ts";

export interface AdaptedParameter {
  readonly name: string;
  /** Named in `target_parameters`, so that patterns see the parameter; else they see the module. */
  readonly targeted: boolean;
}

/** The parameter of each entry that has one. */
export function assignParameters(
  entries: readonly ModuleEntry[],
  config: PeftConfig,
  problems: Problems,
): ReadonlyMap<ModuleEntry, AdaptedParameter> {
  const byModule = new Map<string, ModuleEntry[]>();
  for (const entry of entries) {
    const { module } = entry.place;
    byModule.set(module, [...(byModule.get(module) ?? []), entry]);
  }
  // An attention is known by the output projection that PEFT wraps inside of it.
  const inner = entries.map(({ place }) => place).filter(({ module, owner }) => module === `${owner}.out_proj`);
  const attentions = new Set(inner.map(({ owner }) => owner));
  const assigned = new Map<ModuleEntry, AdaptedParameter>();
  for (const [module, nested] of byModule) {
    const targeted = !attentions.has(module);
    const wanted = targeted ? wantedParameters(module, nested.length, config) : ["in_proj_weight"];
    if (wanted.length === 0 && nested.length === 1 && nested[0]?.place.depth === 0) continue;
    if (!depthsMatch(module, nested, wanted, problems)) continue;
    const innermostFirst = nested.toSorted((a, b) => b.place.depth - a.place.depth);
    for (const [index, name] of wanted.entries()) {
      const entry = innermostFirst[index];
      if (entry !== undefined) assigned.set(entry, { name, targeted });
    }
  }
  return assigned;
}

/**
 * Names in `target_parameters` that fit the module, in the order of registration.
 *
 * A name without its module, as PEFT writes for experts that were targeted as layers, fits every module, since the file
 * does not tell what parameters a module has: where that makes too many, those named with their module are meant.
 */
function wantedParameters(module: string, count: number, config: PeftConfig): readonly string[] {
  if (config.targets.includes(module)) return [];
  const fitting = config.targetParameters.flatMap((target) => {
    const dot = target.lastIndexOf(".");
    const owner = target.slice(0, Math.max(dot, 0));
    const fits = owner === "" || module === owner || module.endsWith(`.${owner}`);
    return fits ? [{ owner, name: target.slice(dot + 1) }] : [];
  });
  const owned = new Set(fitting.filter(({ owner }) => owner !== "").map(({ name }) => name));
  const all = new Set(fitting.map(({ name }) => name));
  const distinct = [...(all.size > count && owned.size === count ? owned : all)];
  if (distinct.length < 2) return distinct;
  const unknown = distinct.filter((name) => !REGISTRATION_ORDER.includes(name));
  if (unknown.length > 0) {
    throw unsupported(`the order of parameters ${summarise(distinct.map(quote))} inside the module is not known`, {
      file: config.file,
      subject: module,
    });
  }
  return REGISTRATION_ORDER.filter((name) => distinct.includes(name));
}

function depthsMatch(
  module: string,
  nested: readonly ModuleEntry[],
  wanted: readonly string[],
  problems: Problems,
): boolean {
  const depths = nested.map(({ place }) => place.depth).toSorted((a, b) => a - b);
  if (wanted.length === nested.length && depths.every((depth, index) => depth === index)) return true;
  const expected =
    wanted.length === 0 ? "one, for its weight" : `${wanted.length}, for ${wanted.map(quote).join(", ")}`;
  problems.add(
    nested.length < wanted.length ? "ADAPTER_INCOMPLETE" : "ADAPTER_MISMATCH",
    module,
    `expected as many pairs of factors as parameters of the module are adapted (${expected}), got ${nested.length}`,
  );
  return false;
}

/** The order in which the expert modules of transformers 5.23 register what they have of these. */
export const REGISTRATION_ORDER: readonly string[] = ["gate_up_proj", "up_proj", "down_proj", "w1", "v1", "w2"];
