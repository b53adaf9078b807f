/**
 * Whether PEFT would adapt a module, by the settings of adapter_config.json (`check_target_module_exists` of PEFT 0.21.2).
 * Tensors decide what is merged; this only tells where file and settings disagree.
 */

import { indicesField, nameListField, namesField, type Settings } from "./fields.ts";
import { layerIndex, nameSet, type PatternCompiler, savedModules } from "./name-rules.ts";

export interface Targets {
  /** The names listed; `undefined` for a regular expression, for `all-linear` and for what PEFT chooses itself. */
  readonly listed: readonly string[] | undefined;
  /** Always true where the settings leave the choice to PEFT. */
  readonly includes: (name: string) => boolean;
}

export function readTargets(settings: Settings, compiler: PatternCompiler): Targets {
  const names = namesField(settings, "target_modules");
  const exclude = namesField(settings, "exclude_modules") ?? [];
  const isExcluded = exclude.length === 0 ? () => false : nameSet(exclude, "exclude_modules", compiler);
  const isSaved = savedModules(nameListField(settings, "modules_to_save"), compiler);
  const isChosen = readChoice(settings, names, compiler);
  return {
    listed: typeof names === "string" ? undefined : names,
    includes: (name) => !isExcluded(name) && !isSaved(name) && isChosen(name),
  };
}

function readChoice(
  settings: Settings,
  names: string | readonly string[] | undefined,
  compiler: PatternCompiler,
): (name: string) => boolean {
  const layers = indicesField(settings, "layers_to_transform") ?? [];
  const layerNames = namesField(settings, "layers_pattern") ?? [];
  const layerOf = layerIndex(typeof layerNames === "string" ? [layerNames] : layerNames, compiler);
  // With target_parameters alone, PEFT adapts no whole module.
  if (names === undefined) {
    const parametersOnly = nameListField(settings, "target_parameters").length > 0;
    return () => !parametersOnly;
  }
  if (typeof names === "string") {
    return names.toLowerCase() === "all-linear" ? () => true : nameSet(names, "target_modules", compiler);
  }
  const hasName = nameSet(names, "target_modules", compiler);
  const whole = new Set(names);
  return (name) => {
    // A module listed by its whole name is adapted whatever its layer.
    if (whole.has(name)) return true;
    if (!hasName(name)) return false;
    const layer = layers.length === 0 ? undefined : layerOf(name);
    return layers.length === 0 || (layer !== undefined && layers.includes(layer));
  };
}
