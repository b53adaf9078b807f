/**
 * Traps in the settings of an adapter: what is allowed and still may not be what its maker meant. Finished, escaped lines.
 */

import type { JsonValue } from "../../../core/json.ts";
import { quote, summarise } from "../../../core/text.ts";
import type { AdapterModule } from "../../adapter.ts";
import type { PeftConfig } from "./config.ts";
import type { Entries, ModuleEntry } from "./entries.ts";
import { isTruthy } from "./fields.ts";
import { patternName } from "./module-reader.ts";
import { suffixes } from "./name-rules.ts";
import type { AdaptedParameter } from "./target-parameters.ts";

/** How the warning starts that a base is named and left alone. */
export const BASE_NOT_OPENED = "base_model_name_or_path is";

export interface Findings {
  readonly config: PeftConfig;
  readonly entries: Entries;
  readonly modules: readonly AdapterModule[];
  /** The parameter of each entry that does not adapt the weight of its module. */
  readonly parameters: ReadonlyMap<ModuleEntry, AdaptedParameter>;
}

export function peftWarnings(findings: Findings): string[] {
  return [
    ...scaleWarnings(findings),
    ...targetWarnings(findings),
    ...patternWarnings(findings),
    ...biasWarnings(findings),
    ...spentWarnings(findings.entries),
    ...importWarnings(findings.config),
  ];
}

function scaleWarnings({ config, modules }: Findings): string[] {
  const lines: string[] = [];
  const silent = modules.filter(({ scale }) => scale === 0);
  if (silent.length > 0) lines.push(`alpha is 0 for ${naming(silent)}: their deltas are nothing`);
  const faint = config.type === "LORA" && config.convention === "lora" ? modules.filter(isFaint) : [];
  const [first] = faint;
  if (first !== undefined) {
    const { alpha, rank, scale } = first;
    const root = Number((alpha / Math.sqrt(rank)).toPrecision(4));
    lines.push(
      `scale is alpha / rank = ${alpha} / ${rank} = ${Number(scale.toPrecision(4))} for ${naming(faint)}: with an alpha that does not grow with the rank, ` +
        `updates shrink as the rank grows; under rslora it would be alpha / √rank = ${root}`,
    );
  }
  if (config.initialisation === "gaussian" && config.convention === "rslora") {
    lines.push(
      `init_lora_weights "gaussian" draws lora_A with deviation 1 / rank = 1 / ${config.rank}, which takes back what rslora gives high ranks in training; merging is not affected`,
    );
  }
  return lines;
}

/** A rank from 32 on with a quarter of an update or less. */
function isFaint({ rank, alpha, scale }: AdapterModule): boolean {
  return rank >= 32 && alpha > 0 && scale <= 0.25;
}

/** PEFT ignores tensors of modules that the settings do not name, and leaves named ones without tensors as they were. */
function targetWarnings({ config, entries, parameters }: Findings): string[] {
  const lines: string[] = [];
  const weights = entries.modules.filter((entry) => parameters.get(entry)?.targeted !== true);
  // With ensure_weight_tying PEFT adapts the other end of the tie as well.
  const outside = config.keepsTie ? [] : weights.filter(({ place }) => !config.targets.includes(place.owner));
  if (outside.length > 0) {
    const names = summarise(outside.map(({ place }) => quote(place.module)));
    lines.push(`the settings do not name ${names}: PEFT would ignore their tensors, here they count`);
  }
  const whole = config.type === "LN_TUNING" ? [...entries.parameters.values()].map(({ module }) => module) : [];
  const present = new Set(
    [...entries.modules.map(({ place }) => place.owner), ...entries.tokenRows.keys(), ...whole].flatMap(suffixes),
  );
  const absent = (config.targets.listed ?? []).filter((name) => !present.has(name));
  if (absent.length > 0) {
    lines.push(`target_modules names ${summarise(absent.map(quote))}, for which the file has no tensors`);
  }
  return lines;
}

function patternWarnings({ config, entries, parameters }: Findings): string[] {
  const { rankPattern, alphaPattern } = config;
  const names = entries.modules.map((entry) => patternName(entry, parameters.get(entry)));
  const lines = Object.entries({ rank_pattern: rankPattern, alpha_pattern: alphaPattern }).flatMap(([key, table]) => {
    const unused = table.unused(names);
    if (unused.length === 0) return [];
    return [`${key}: ${summarise(unused.map(quote))} hit no module (a key must reach the end of the name)`];
  });
  const contested = names.filter((name) => alphaPattern.isContested(name));
  if (contested.length > 0) {
    const modules = summarise(contested.map(quote), 3);
    lines.push(
      `alpha_pattern: keys with different values hit ${modules}; the first in the file decides, and PEFT sorts the keys on saving, ` +
        "so that training may have used another",
    );
  }
  return lines;
}

function biasWarnings({ config, modules }: Findings): string[] {
  const biased = config.loraBias ? [] : modules.filter(({ bias }) => bias !== undefined);
  if (biased.length === 0) return [];
  return [
    `lora_bias is false, and the file has lora_B.bias for ${naming(biased)}: PEFT would ignore it, here it counts`,
  ];
}

function spentWarnings({ spent }: Entries): string[] {
  const lines: string[] = [];
  if (spent.copies.length > 0) {
    lines.push(`left out, copies of the base: ${summarise(spent.copies.map(quote))}`);
  }
  if (spent.training.length > 0) {
    lines.push(`left out, only training used them: ${summarise(spent.training.map(quote))}`);
  }
  return lines;
}

/** Settings that make other programs import code or reach out; here they are text. */
function importWarnings({ settings }: PeftConfig): string[] {
  const lines: string[] = [];
  const mapping: JsonValue = settings.values.get("auto_mapping") ?? null;
  if (isTruthy(mapping)) lines.push("auto_mapping names Python classes; nothing is imported");
  const core = settings.values.get("megatron_core") ?? "megatron.core";
  if (core !== "megatron.core") lines.push("megatron_core names a Python module; nothing is imported");
  const base = settings.values.get("base_model_name_or_path");
  if (typeof base === "string" && OUTSIDE.test(base)) {
    lines.push(`${BASE_NOT_OPENED} ${quote(base)}; it is not opened or fetched`);
  }
  return lines;
}

function naming(modules: readonly AdapterModule[]): string {
  return summarise(
    modules.map(({ name }) => quote(name)),
    3,
  );
}

/** A URL, an absolute path, a network share, or a way upwards. */
const OUTSIDE = /^[a-z][a-z0-9+.-]*:\/\/|^[\\/]|^[a-z]:[\\/]|(?:^|[\\/])\.\.(?:[\\/]|$)/i;
