/**
 * Constants of a model → the parameters of the trained model that they hold, and how the graph computes with each.
 *
 * A constant that several layers share is one parameter for each of them (tied weights, and equal values that exporters
 * store once). The path comes from the value's own name or, where an exporter made that up or shared it, from the module
 * that the node was traced from, or else from the bias that is added to its result. Two constants for one path are never
 * guessed between: neither gets it.
 */

import { parentPath } from "../../../core/text.ts";
import { withWire } from "../lazy.ts";
import type { OnnxConstant, OnnxModel } from "../model.ts";
import { findWeightUses, type WeightAxes, type WeightUse } from "../weight-uses.ts";
import type { WireReader } from "../wire-reader.ts";
import { modulesByBias } from "./added-biases.ts";
import { holdsBatchNorm } from "./folded-norm.ts";
import { isBuilderName, parameterPathOf, trainedPath } from "./key-path.ts";
import { type TracedFrom, tracedFrom } from "./node-path.ts";
import { isQuantizedInput, roleOf } from "./role.ts";

export interface OnnxParameter {
  /** Path of the parameter in the trained model, or the key of the constant where nothing tells it. */
  readonly name: string;
  readonly constant: OnnxConstant;
  /** The nodes that compute with the constant as this parameter. */
  readonly uses: readonly WeightUse[];
  /** Of the constant as it is stored; `unknown` also where the uses differ. */
  readonly axes: WeightAxes;
  readonly isNamed: boolean;
  /** The file keeps the parameter's own name, so its values were stored as they are, not turned. */
  readonly keepsName: boolean;
  /** The constant holds codes. */
  readonly isQuantized: boolean;
  /** The exporter multiplied a batch norm into the values, so they are not those of the layer any more. */
  readonly isFolded: boolean;
}

export interface OnnxParameters {
  readonly model: OnnxModel;
  /** In the order of the constants. */
  readonly byName: ReadonlyMap<string, OnnxParameter>;
  /** How many uses each constant has, named or not, by its key. */
  readonly useCounts: ReadonlyMap<string, number>;
}

/** How one use of a constant is called. */
interface NamedUse {
  readonly use: WeightUse;
  readonly name: string | undefined;
  /** The name is the value's, not only that of the node. */
  readonly isOwn: boolean;
  readonly keepsName: boolean;
  readonly isFolded: boolean;
}

export function findParameters(model: OnnxModel): OnnxParameters {
  const named = nameJoinedProjections(nameUses(model));
  const owners = ownersOf(named);
  const groups = new Map([...named].map(([constant, uses]) => [constant, groupByName(constant, uses, owners)]));
  const taken = new Set([...groups.values()].flatMap((group) => [...group.keys()]));
  const byName = new Map<string, OnnxParameter>();
  for (const [constant, uses] of named) {
    const own = groups.get(constant) ?? new Map<string, NamedUse[]>();
    for (const [name, group] of own) byName.set(name, { name, isNamed: true, ...describe(constant, group) });
    if (own.size > 0) continue;
    // A path that another constant goes by.
    const name = taken.has(constant.key) ? `${constant.key} (constant)` : constant.key;
    byName.set(name, { name, isNamed: false, ...describe(constant, uses) });
  }
  return { model, byName, useCounts: new Map([...named].map(([{ key }, uses]) => [key, uses.length])) };
}

function nameUses(model: OnnxModel): Map<OnnxConstant, NamedUse[]> {
  const uses = findWeightUses(model);
  const constants = [...model.constants.values()];
  const fromBuilder = constants.some(({ name }) => isBuilderName(name));
  const moduleByBias = modulesByBias(uses, fromBuilder);
  return withWire(
    model,
    (wire) =>
      new Map(
        constants.map((constant) => {
          const own = uses.get(constant.key) ?? [];
          return [constant, own.map((use) => nameUse(wire, use, fromBuilder, moduleByBias(use)))];
        }),
      ),
  );
}

/** The weight of nn.MultiheadAttention's joined projection has another name than a linear layer's; its bias tells. */
function nameJoinedProjections(named: Map<OnnxConstant, NamedUse[]>): Map<OnnxConstant, NamedUse[]> {
  const joined = new Set<string>();
  for (const { name } of [...named.values()].flat()) {
    if (name?.endsWith(".in_proj_bias")) joined.add(`${name.slice(0, -".in_proj_bias".length)}.weight`);
  }
  const rename = (one: NamedUse): NamedUse =>
    one.name === undefined || !joined.has(one.name)
      ? one
      : { ...one, name: one.name.replace(/weight$/, "in_proj_weight") };
  return new Map([...named].map(([constant, uses]) => [constant, uses.map(rename)]));
}

function nameUse(wire: WireReader, use: WeightUse, fromBuilder: boolean, byBias: string | undefined): NamedUse {
  const { constant, node, input } = use;
  // Identity nodes give each of several equal parameters its own name.
  const names = [node.inputs[input] ?? "", constant.name];
  const stored = names.find((name) => parameterPathOf(name, fromBuilder) !== undefined);
  const own = stored === undefined ? undefined : parameterPathOf(stored, fromBuilder);
  const origin = tracedFrom(wire, node);
  const keepsName = stored !== undefined && !isBuilderName(stored);
  const isFolded = holdsBatchNorm(node, origin, keepsName);
  // A product of a layer and the batch norm behind it says that it comes from the norm.
  const place = isFolded && origin?.isBatchNorm ? undefined : origin;
  const traced = place === undefined ? undefined : tracedName(place, use, fromBuilder);
  const module = place === undefined ? "" : trainedPath(`${place.module}.`, fromBuilder).slice(0, -1);
  const isOwn = own !== undefined && (place === undefined || traced === undefined || isWithin(own, module));
  const told = traced ?? (byBias === undefined ? undefined : `${byBias}.weight`);
  return { use, name: isOwn ? own : told, isOwn, keepsName, isFolded };
}

/** The module's path and what the node takes the constant for. */
function tracedName(place: TracedFrom, use: WeightUse, fromBuilder: boolean): string | undefined {
  const { node, input, constant } = use;
  const role = roleOf(node, input, constant.tensor.data.shape);
  // `weight` and `bias`, `in_proj_weight` and `in_proj_bias`.
  const fitting = place.parameters.filter((name) => role === undefined || `_${name}`.endsWith(`_${role}`));
  const parameter = fitting.length === 1 ? fitting[0] : role;
  if (parameter === undefined || place.module === "") return undefined;
  return trainedPath(`${place.module}.${parameter}`, fromBuilder);
}

/** Whether a parameter belongs to a module or to one inside of it; exporters differ in what they put around a model. */
function isWithin(parameter: string, module: string): boolean {
  const own = parentPath(parameter);
  return `.${own}.`.includes(`.${module}.`) || `.${module}`.endsWith(`.${own}`);
}

/** What a name stands for: the only constant that has it, or the only one that has it as its own; `undefined` for others. */
function ownersOf(named: ReadonlyMap<OnnxConstant, readonly NamedUse[]>): Map<string, OnnxConstant | undefined> {
  const claims = new Map<string, { all: Set<OnnxConstant>; own: Set<OnnxConstant> }>();
  for (const [constant, uses] of named) {
    for (const { name, isOwn } of uses) {
      if (name === undefined) continue;
      const claim = claims.get(name) ?? { all: new Set(), own: new Set() };
      claims.set(name, claim);
      claim.all.add(constant);
      if (isOwn) claim.own.add(constant);
    }
  }
  return new Map(
    [...claims].map(([name, { all, own }]) => {
      const [owner, ...others] = own.size > 0 ? own : all;
      return [name, others.length === 0 ? owner : undefined];
    }),
  );
}

function groupByName(
  constant: OnnxConstant,
  uses: readonly NamedUse[],
  owners: ReadonlyMap<string, OnnxConstant | undefined>,
): Map<string, NamedUse[]> {
  const groups = new Map<string, NamedUse[]>();
  for (const one of uses) {
    if (one.name === undefined || owners.get(one.name) !== constant) continue;
    const known = groups.get(one.name);
    if (known === undefined) groups.set(one.name, [one]);
    else known.push(one);
  }
  return groups;
}

function describe(constant: OnnxConstant, named: readonly NamedUse[]) {
  const uses = named.map(({ use }) => use);
  const axes = new Set(uses.map((use) => use.axes));
  const [only = "unknown"] = axes;
  return {
    constant,
    uses,
    axes: axes.size === 1 ? only : "unknown",
    keepsName: named.length > 0 && named.every((one) => one.keepsName),
    isFolded: named.some((one) => one.isFolded),
    isQuantized: uses.some(({ isQuantized, node, input }) => isQuantized || isQuantizedInput(node.opType, input)),
  } as const;
}
