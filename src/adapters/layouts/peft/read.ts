/**
 * A PEFT adapter (adapter_model.safetensors and adapter_config.json) into an `Adapter`.
 *
 * Each tensor of the file ends in a module, an override, a token row or is left out for a stated reason; everything that
 * does not fit is named in one error. Semantics: PEFT 0.21.2.
 */

import { FormatError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import type { TensorStore } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import { readAdaLora } from "./adalora.ts";
import { type PeftConfig, readPeftConfig } from "./config.ts";
import { type ModuleEntry, sortTensors } from "./entries.ts";
import { readIa3 } from "./ia3.ts";
import { readLoha } from "./loha.ts";
import { readLokr } from "./lokr.ts";
import { readLora } from "./lora.ts";
import type { ModuleReader, ReadContext } from "./module-reader.ts";
import { placeParameters, placeTokenRows } from "./parameters.ts";
import { Problems } from "./problems.ts";
import { assignParameters } from "./target-parameters.ts";
import type { PeftType } from "./unsupported.ts";
import { peftWarnings } from "./warnings.ts";

export interface PeftSource {
  /** What the user named. */
  readonly path: string;
  readonly store: TensorStore;
  readonly config: JsonObject;
  readonly configFile: string;
  /** `lora_B` of experts has the columns of one expert side by side, as Unsloth's trainer writes it (unsloth#6930). */
  readonly expertMajor?: boolean;
}

/**
 * Reads the headers of the weights and the settings.
 *
 * @throws {FormatError} INVALID_CONFIG, INVALID_PATTERN
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER, UNSUPPORTED_PATTERN, UNSUPPORTED_DTYPE
 * @throws {MismatchError} ADAPTER_MISMATCH, ADAPTER_INCOMPLETE, RANK_MISMATCH with all misfits
 */
export function readPeftAdapter(source: PeftSource): Adapter {
  const { path, store } = source;
  const config = readPeftConfig(source.config, source.configFile);
  if (store.tensors.size === 0) throw new FormatError("INVALID_MODEL", "the adapter has no tensors", { file: store.path });
  const problems = new Problems();
  const entries = sortTensors(store.tensors, problems);
  const parameters = assignParameters(entries.modules, config, problems);
  const context: ReadContext = {
    config,
    problems,
    parameterOf: (entry) => parameters.get(entry),
    expertMajor: source.expertMajor ?? false,
  };
  const { modules, empty } = readModules(entries.modules, context);
  const placed = placeParameters(modules, entries.parameters, problems);
  const tokenRows = placeTokenRows(entries.tokenRows, config, problems);
  problems.throwIfAny(store.path);
  return {
    path,
    layout: "peft",
    method: methodName(config),
    convention: config.convention,
    ...placed,
    tokenRows,
    keepsTie: config.keepsTie,
    ...(config.baseModel === undefined ? {} : { baseModel: config.baseModel }),
    fanInFanOut: config.fanInFanOut,
    tensors: withoutSpent(store, [...entries.spent.copies, ...entries.spent.training], entries.modules, empty),
    files: store.files,
    warnings: [...store.warnings, ...peftWarnings({ config, entries, modules: placed.modules, parameters })],
  };
}

function readModules(
  entries: readonly ModuleEntry[],
  context: ReadContext,
): { readonly modules: readonly AdapterModule[]; readonly empty: readonly ModuleEntry[] } {
  const read = READERS[context.config.type];
  const modules: AdapterModule[] = [];
  const empty: ModuleEntry[] = [];
  for (const entry of entries) {
    const module = read(entry, context);
    if (module === "empty") empty.push(entry);
    else if (module !== undefined) modules.push(module);
  }
  return { modules, empty };
}

/** The tensors to account for: without those that have no part in the model. */
function withoutSpent(
  store: TensorStore,
  spent: readonly string[],
  entries: readonly ModuleEntry[],
  empty: readonly ModuleEntry[],
): Adapter["tensors"] {
  const tensors = new Map(store.tensors);
  for (const name of spent) tensors.delete(name);
  for (const { factors } of empty) for (const { name } of factors.values()) tensors.delete(name);
  for (const { factors } of entries) {
    const rankNumber = factors.get("ranknum");
    if (rankNumber !== undefined) tensors.delete(rankNumber.name);
  }
  return tensors;
}

function methodName(config: PeftConfig): string {
  if (config.type !== "LORA") return METHODS[config.type];
  const initialised = { plain: "LoRA", gaussian: "LoRA", pissa: "PiSSA", olora: "OLoRA" }[config.initialisation];
  const base = config.dora ? (initialised === "LoRA" ? "DoRA" : `${initialised} with DoRA`) : initialised;
  if (config.convention === "lora") return base;
  return base === "LoRA" ? "rsLoRA" : `${base}, rsLoRA`;
}

const METHODS: Record<Exclude<PeftType, "LORA">, string> = {
  ADALORA: "AdaLoRA",
  LOHA: "LoHa",
  LOKR: "LoKr",
  IA3: "IA3",
  TRAINABLE_TOKENS: "trainable tokens",
};

const READERS: Record<PeftType, ModuleReader> = {
  LORA: readLora,
  ADALORA: readAdaLora,
  LOHA: readLoha,
  LOKR: readLokr,
  IA3: readIa3,
  TRAINABLE_TOKENS: (entry, { problems }) => {
    for (const { name } of entry.factors.values()) {
      problems.add("ADAPTER_MISMATCH", name, "does not belong to an adapter of this type");
    }
    return undefined;
  },
};
