/**
 * What a run takes over from the settings of the adapter that it starts from.
 *
 * PEFT lets names and patterns stand that match nothing; only those that decide something are taken over.
 */

import type { Adapter } from "../../adapters/adapter.ts";
import {
  alphaField,
  booleanField,
  indicesField,
  nameListField,
  namesField,
  patternField,
  rankField,
  type Settings,
  toAlpha,
  toRank,
} from "../../adapters/layouts/peft/fields.ts";
import { nameSet, patternCompiler, patternTable } from "../../adapters/layouts/peft/name-rules.ts";
import type { InitialisationName } from "./initialisations.ts";
import type { TargetSettings } from "./select-modules.ts";

export interface InitialSettings extends TargetSettings {
  readonly dora: boolean;
  /** One that changes the base, which then has to be changed again. */
  readonly init: InitialisationName | undefined;
}

export function readInitialSettings(settings: Settings, { convention, modules }: Adapter): InitialSettings {
  const names = modules.map(({ name }) => name);
  return {
    convention,
    rank: rankField(settings, "r"),
    alpha: alphaField(settings, "lora_alpha"),
    rankPattern: usedPatterns(settings, "rank_pattern", toRank, names),
    alphaPattern: usedPatterns(settings, "alpha_pattern", toAlpha, names),
    ...targets(settings, names),
    modulesToSave: nameListField(settings, "modules_to_save"),
    dora: booleanField(settings, "use_dora", false),
    init: modules.find(({ residual }) => residual !== undefined)?.residual,
  };
}

function usedPatterns(
  settings: Settings,
  key: string,
  toNumber: typeof toRank | typeof toAlpha,
  names: readonly string[],
): ReadonlyMap<string, number> {
  const entries = patternField(settings, key, toNumber);
  const unused = patternTable(entries, key, patternCompiler(settings.file)).unused(names);
  return new Map([...entries].filter(([pattern]) => !unused.includes(pattern)));
}

/** As the settings say it where the settings of a run can say the same, else the adapter's modules by their names. */
function targets(settings: Settings, names: readonly string[]): Pick<InitialSettings, "targetModules" | "layers"> {
  const given = namesField(settings, "target_modules") ?? names;
  const isNarrowed = ["exclude_modules", "layers_pattern"].some((key) => (namesField(settings, key) ?? []).length > 0);
  if (isNarrowed) return { targetModules: names, layers: undefined };
  const layers = indicesField(settings, "layers_to_transform");
  if (typeof given === "string") return { targetModules: given, layers };
  const compiler = patternCompiler(settings.file);
  const hits = (target: string) => names.some(nameSet([target], "target_modules", compiler));
  return { targetModules: given.filter(hits), layers };
}
