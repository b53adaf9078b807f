/**
 * A PEFT adapter (adapter_model.safetensors and adapter_config.json) into an `Adapter`.
 *
 * Each tensor of the file ends in a module, an override, a token row or is left out for a stated reason; everything that
 * does not fit is named in one error. Semantics: PEFT 0.21.2.
 */

import { FileError, FormatError } from "../../../core/errors.ts";
import type { TensorStore } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import type { AdapterFiles, LayoutReader } from "../layout-reader.ts";
import { readAdaLora } from "./adalora.ts";
import { type PeftConfig, readPeftConfig } from "./config.ts";
import { type ModuleEntry, sortTensors } from "./entries.ts";
import { readIa3 } from "./ia3.ts";
import { readKey } from "./keys.ts";
import { readLoha } from "./loha.ts";
import { readLokr } from "./lokr.ts";
import { readLora } from "./lora.ts";
import type { ModuleReader, ReadContext } from "./module-reader.ts";
import { placeParameters, placeTokenRows } from "./parameters.ts";
import { Problems } from "./problems.ts";
import { assignParameters } from "./target-parameters.ts";
import type { PeftType } from "./unsupported.ts";
import { readVera } from "./vera.ts";
import { peftWarnings } from "./warnings.ts";

/**
 * Reads the headers of the weights and the settings.
 *
 * @throws {FormatError} INVALID_CONFIG, INVALID_PATTERN
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER, UNSUPPORTED_PATTERN, UNSUPPORTED_DTYPE
 * @throws {MismatchError} ADAPTER_MISMATCH, ADAPTER_INCOMPLETE, RANK_MISMATCH with all misfits
 */
function read({ path, store, settings }: AdapterFiles): Adapter {
  if (settings === undefined) {
    throw new FileError("FILE_NOT_FOUND", "no adapter_config.json beside the weights, which are of PEFT's layout", {
      file: store.path,
      hint: "alpha, ranks and convention stand in adapter_config.json only: put it into the same folder",
    });
  }
  const config = readPeftConfig(settings.values, settings.path);
  if (store.tensors.size === 0)
    throw new FormatError("INVALID_MODEL", "the adapter has no tensors", { file: store.path });
  const problems = new Problems();
  const entries = sortTensors(store.tensors, problems);
  const parameters = assignParameters(entries.modules, config, problems);
  const context: ReadContext = {
    config,
    problems,
    shared: entries.shared,
    parameterOf: (entry) => parameters.get(entry),
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
    files: [...store.files, settings.identity],
    warnings: [...store.warnings, ...peftWarnings({ config, entries, modules: placed.modules, parameters })],
  };
}

export const peftReader: LayoutReader = { detect, read };

/** By the settings, or by names that only PEFT writes. */
function detect({ store, settings }: AdapterFiles): boolean {
  if (settings?.values.has("peft_type")) return true;
  for (const name of store.tensors.keys()) {
    const { kind } = readKey(name);
    if (kind === "factor" || kind === "token-rows") return true;
  }
  return false;
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
  VERA: "VeRA",
  TRAINABLE_TOKENS: "trainable tokens",
  LN_TUNING: "LN tuning",
};

/** For types that have no factors. */
const readNone: ModuleReader = (entry, { problems }) => {
  for (const { name } of entry.factors.values()) {
    problems.add("ADAPTER_MISMATCH", name, "does not belong to an adapter of this type");
  }
  return undefined;
};

const READERS: Record<PeftType, ModuleReader> = {
  LORA: readLora,
  ADALORA: readAdaLora,
  LOHA: readLoha,
  LOKR: readLokr,
  IA3: readIa3,
  VERA: readVera,
  TRAINABLE_TOKENS: readNone,
  LN_TUNING: readNone,
};
