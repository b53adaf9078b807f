/**
 * A LoRA file of diffusers, ComfyUI or ai-toolkit into an `Adapter`: dotted paths, no settings file.
 *
 * The scale is that of the settings in the metadata, else alpha / rank of the alpha tensors, else 1.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import { dottedPart } from "../../architecture/pipeline/parts.ts";
import { type LycorisFactor, REFUSED } from "../kohya/factors.ts";
import { readLycorisModule } from "../kohya/modules.ts";
import { alphaWarnings, methodOf, refuse, withoutNumbers } from "../kohya/read.ts";
import { type AdapterFiles, FACTORS_ONLY, type LayoutReader } from "../layout-reader.ts";
import { Problems } from "../peft/problems.ts";
import { isDiffusersName, readDiffusersKey } from "./keys.ts";
import { readMetadata, withSettings } from "./metadata.ts";

type Entries = ReadonlyMap<string, ReadonlyMap<LycorisFactor, TensorData>>;

function detect({ store, settings }: AdapterFiles): boolean {
  if (settings?.values.has("peft_type")) return false;
  for (const name of store.tensors.keys()) if (isDiffusersName(name)) return true;
  return false;
}

/** @throws {MismatchError | FormatError | UnsupportedError} naming all misfits */
function read({ path, store }: AdapterFiles): Adapter {
  const configs = readMetadata(store);
  const problems = new Problems();
  const entries = sortTensors(store.tensors, problems, store.path);
  const unsettled: [string, ReadonlyMap<LycorisFactor, TensorData>][] = [];
  const modules: AdapterModule[] = [];
  for (const [name, factors] of entries) {
    const component = dottedPart(name)?.part.component ?? "";
    const config = configs.get(component);
    const own = readLycorisModule(name, factors, problems);
    if (config === undefined) unsettled.push([name, factors]);
    const settle = (module: AdapterModule) =>
      config === undefined ? module : withSettings(module, config, component, factors.has("alpha"), problems);
    modules.push(...own.map(settle));
  }
  problems.throwIfAny(store.path);
  const convention = [...configs.values()].some((config) => config.convention === "rslora") ? "rslora" : "lora";
  return {
    path,
    layout: "diffusers",
    method: convention === "rslora" && methodOf(modules) === "LoRA" ? "rsLoRA" : methodOf(modules),
    convention,
    modules,
    ...FACTORS_ONLY,
    tensors: withoutNumbers(store.tensors, entries),
    files: store.files,
    warnings: [...store.warnings, ...alphaWarnings(new Map(unsettled))],
  };
}

export const diffusersReader: LayoutReader = { detect, read };

function sortTensors(tensors: ReadonlyMap<string, TensorData>, problems: Problems, file: string): Entries {
  const entries = new Map<string, Map<LycorisFactor, TensorData>>();
  for (const tensor of tensors.values()) {
    if (/\.qkv_lora\d\./.test(tensor.name)) {
      const problem = "the fused projections of XLabs are not read";
      throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject: tensor.name });
    }
    const key = readDiffusersKey(tensor.name);
    if (key === undefined) {
      const ending = [...REFUSED.keys()].find((factor) => tensor.name.endsWith(`.${factor}`));
      refuse(tensor, ending, problems, file);
      continue;
    }
    const factors = entries.get(key.module) ?? new Map<LycorisFactor, TensorData>();
    const other = factors.get(key.factor);
    if (other !== undefined) problems.add("ADAPTER_MISMATCH", tensor.name, `means the same as ${quote(other.name)}`);
    entries.set(key.module, factors.set(key.factor, tensor));
  }
  return entries;
}
