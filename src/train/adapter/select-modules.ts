/**
 * Which layers of the base get an adapter, with what rank, alpha and scale: PEFT's rules (`check_target_module_exists`,
 * `get_pattern_key` of PEFT 0.21.2) on the names of the base's layers.
 *
 * Targets are `all-linear` (every linear layer but the output head), names (a whole name, or its end after a dot), or one
 * Python regular expression for whole names. A text is names when it is made of their characters and commas only.
 */

import type { Convention } from "../../adapters/adapter.ts";
import {
  layerIndex,
  nameSet,
  type PatternCompiler,
  patternCompiler,
  patternTable,
  savedModules,
} from "../../adapters/layouts/peft/name-rules.ts";
import { effectiveScale } from "../../adapters/scale.ts";
import { UsageError } from "../../core/errors.ts";
import { lastPart, quote, summarise } from "../../core/text.ts";
import type { BaseLayer } from "../base/base.ts";

export interface TargetSettings {
  readonly targetModules: string | readonly string[];
  /** Indices of blocks; `undefined`: all. */
  readonly layers: readonly number[] | undefined;
  readonly modulesToSave: readonly string[];
  readonly rank: number;
  readonly alpha: number;
  readonly convention: Convention;
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
}

export interface SelectedModule {
  readonly layer: BaseLayer;
  readonly rank: number;
  readonly alpha: number;
  readonly scale: number;
}

const ALL_LINEAR = "all-linear";
const NAMES = /^[\w.,\s-]*$/;

/** The targets as PEFT's settings hold them: a list of names, or one pattern. */
export function parseTargets(targets: string | readonly string[]): string | readonly string[] {
  if (typeof targets !== "string") return targets;
  if (targets === ALL_LINEAR || !NAMES.test(targets)) return targets;
  return targets.split(",").flatMap((name) => name.trim() || []);
}

/**
 * @throws {UsageError} when nothing matches, and for a name, layer or pattern that matches nothing
 * @throws {FormatError | UnsupportedError} for what is no Python pattern, or none that is supported
 */
export function selectModules(layers: readonly BaseLayer[], settings: TargetSettings): SelectedModule[] {
  const compiler = patternCompiler("--target-modules");
  const targets = parseTargets(settings.targetModules);
  const isChosen = choice(targets, layers, compiler);
  const isSaved = savedModules(settings.modulesToSave, compiler);
  const layerOf = layerIndex([], compiler);
  const whole = new Set(typeof targets === "string" ? [] : targets);
  const inLayers = ({ module }: BaseLayer) => {
    // A module listed by its whole name is adapted whatever its layer.
    if (whole.has(module)) return true;
    const index = layerOf(module);
    return settings.layers === undefined || (index !== undefined && settings.layers.includes(index));
  };
  const chosen = layers.filter((layer) => isChosen(layer) && !isSaved(layer.module) && inLayers(layer));
  // Modules trained whole and nothing else are no LoRA: PEFT neither makes nor loads one without a target.
  if (chosen.length === 0) throw nothingMatches(layers, settings);
  const ranks = patternTable(settings.rankPattern, "rank_pattern", compiler);
  const alphas = patternTable(settings.alphaPattern, "alpha_pattern", compiler);
  const names = chosen.map(({ module }) => module);
  for (const [flag, { unused }] of [
    ["--rank-pattern", ranks],
    ["--alpha-pattern", alphas],
  ] as const) {
    const [pattern] = unused(names);
    if (pattern !== undefined)
      throw new UsageError("the pattern matches no adapted module", { subject: `${flag} ${pattern}` });
  }
  return chosen.map((layer) => {
    const rank = ranks.find(layer.module) ?? settings.rank;
    const alpha = alphas.find(layer.module) ?? settings.alpha;
    return { layer, rank, alpha, scale: effectiveScale(settings.convention, alpha, rank) };
  });
}

function choice(
  targets: string | readonly string[],
  layers: readonly BaseLayer[],
  compiler: PatternCompiler,
): (layer: BaseLayer) => boolean {
  if (targets === ALL_LINEAR) return ({ kind, isHead }) => kind !== "embedding" && !isHead;
  const includes = nameSet(targets, "target_modules", compiler);
  if (typeof targets !== "string") {
    for (const name of targets) {
      const hits = nameSet([name], "target_modules", compiler);
      if (!layers.some(({ module }) => hits(module))) throw unknownName(name, layers);
    }
  }
  return ({ module }) => includes(module);
}

function unknownName(name: string, layers: readonly BaseLayer[]): UsageError {
  return new UsageError(`no layer of the base has this name, expected one of ${knownNames(layers)}`, {
    subject: `--target-modules ${name}`,
  });
}

function nothingMatches(layers: readonly BaseLayer[], { targetModules, layers: wanted }: TargetSettings): UsageError {
  const within = wanted === undefined ? "" : ` in layers ${wanted.join(", ")}`;
  return new UsageError(`matches no layer of the base${within}, whose layers are ${knownNames(layers)}`, {
    subject: `--target-modules ${typeof targetModules === "string" ? targetModules : targetModules.join(",")}`,
  });
}

/** Last parts of names, each once. */
function knownNames(layers: readonly BaseLayer[]): string {
  const names = new Set(layers.map(({ module }) => lastPart(module)));
  return summarise([...names].map(quote), 16);
}
