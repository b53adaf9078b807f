/**
 * The tensors of a PEFT file sorted by what they belong to: factors by module, parameters, token rows. Each tensor ends in
 * one place or in a problem.
 */

import { quote, summarise } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import { type Factor, type ModulePlace, readKey, type SharedFactor } from "./keys.ts";
import type { Problems } from "./problems.ts";

/** The factors of one adapted module or parameter. */
export interface ModuleEntry {
  readonly place: ModulePlace;
  readonly factors: Map<Factor, TensorData>;
}

/** A tensor that has the name of a parameter of the base. */
export interface ParameterEntry {
  readonly module: string;
  readonly parameter: string;
  /** It stood under an adapter, as `base_layer.weight` does. */
  readonly wrapped: boolean;
  readonly tensor: TensorData;
}

export interface Entries {
  readonly modules: readonly ModuleEntry[];
  readonly shared: ReadonlyMap<SharedFactor, TensorData>;
  /** By name of the parameter. */
  readonly parameters: ReadonlyMap<string, ParameterEntry>;
  /** By path of the embedding. */
  readonly tokenRows: ReadonlyMap<string, TensorData>;
  /** Tensors that have no part in the model. */
  readonly spent: { readonly copies: readonly string[]; readonly training: readonly string[] };
}

/** Path of a parameter: that of its module, a dot, its name. */
export function parameterName(module: string, parameter: string): string {
  return module === "" ? parameter : `${module}.${parameter}`;
}

/** Module and parameter of a path. */
export function splitParameterName(name: string): { readonly module: string; readonly parameter: string } {
  const dot = name.lastIndexOf(".");
  return { module: name.slice(0, Math.max(dot, 0)), parameter: name.slice(dot + 1) };
}

export function sortTensors(tensors: ReadonlyMap<string, TensorData>, problems: Problems): Entries {
  const modules = new Map<string, ModuleEntry>();
  const parameters = new Map<string, ParameterEntry>();
  const shared = new Map<SharedFactor, TensorData>();
  const tokenRows = new Map<string, TensorData>();
  const spent = { copies: [] as string[], training: [] as string[] };
  const adapters = new Set<string>();
  for (const [name, tensor] of tensors) {
    const meaning = name.length > MAX_NAME_LENGTH ? ({ kind: "unknown" } as const) : readKey(name);
    if ("adapter" in meaning && meaning.adapter !== undefined) adapters.add(meaning.adapter);
    switch (meaning.kind) {
      case "factor": {
        const { place, factor } = meaning;
        const key = `${place.depth} ${place.module}`;
        const entry = modules.get(key) ?? { place, factors: new Map() };
        modules.set(key, entry);
        put(entry.factors, factor, tensor, problems);
        break;
      }
      case "parameter": {
        const { module, parameter, wrapped } = meaning;
        put(parameters, parameterName(module, parameter), { module, parameter, wrapped, tensor }, problems);
        break;
      }
      case "shared":
        put(shared, meaning.factor, tensor, problems);
        break;
      case "token-rows":
        put(tokenRows, meaning.module, tensor, problems);
        break;
      case "spent":
        (meaning.why === "copy" ? spent.copies : spent.training).push(name);
        break;
      case "unknown":
        problems.add("ADAPTER_MISMATCH", name, "is not the name of a tensor of a PEFT adapter");
    }
  }
  if (adapters.size > 1) {
    const names = summarise([...adapters].map(quote));
    problems.add(
      "ADAPTER_MISMATCH",
      [...tensors.keys()][0] ?? "",
      `the file holds several adapters, expected one, got ${names}`,
    );
  }
  return { modules: [...modules.values()], shared, parameters, tokenRows, spent };
}

/** Two names that mean the same (`lora_A.weight`, `lora_A.default.weight`) must not overwrite each other. */
function put<Key, Value extends TensorData | ParameterEntry>(
  into: Map<Key, Value>,
  key: Key,
  value: Value,
  problems: Problems,
): void {
  const before = into.get(key);
  if (before === undefined) {
    into.set(key, value);
    return;
  }
  const [first, second] = [before, value].map((entry) => ("tensor" in entry ? entry.tensor.name : entry.name));
  problems.add("ADAPTER_MISMATCH", second ?? "", `means the same as ${quote(first ?? "")}, expected one of them`);
}

/** Names of modules. Real: below 200 characters. */
const MAX_NAME_LENGTH = 1_024;
