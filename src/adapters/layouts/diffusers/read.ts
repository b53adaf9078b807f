/**
 * A LoRA file of diffusers, ComfyUI or ai-toolkit into an `Adapter`: dotted paths, no settings file.
 *
 * The scale is that of the settings in the metadata, else alpha / rank of the alpha tensors, else 1.
 */

import { quote } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule, Override } from "../../adapter.ts";
import { dottedPart, partOfPaths } from "../../architecture/pipeline/parts.ts";
import { type LycorisFactor, REFUSED } from "../kohya/factors.ts";
import { readLycorisModule } from "../kohya/modules.ts";
import { alphaWarnings, methodOf, refuse, withoutNumbers } from "../kohya/read.ts";
import { type AdapterFiles, FACTORS_ONLY, type LayoutReader } from "../layout-reader.ts";
import { Problems } from "../peft/problems.ts";
import { isDiffusersName, isNormScale, readDiffusersKey, withPart } from "./keys.ts";
import { readMetadata, withSettings } from "./metadata.ts";
import { isXlabsName, readXlabsFactors, type XlabsFactor } from "./xlabs.ts";

type Entries = ReadonlyMap<string, ReadonlyMap<LycorisFactor, TensorData>>;

function detect({ store, settings }: AdapterFiles): boolean {
  if (settings?.values.has("peft_type")) return false;
  for (const name of store.tensors.keys()) if (isXlabsName(name) || isDiffusersName(name)) return true;
  return false;
}

/** @throws {MismatchError | FormatError | UnsupportedError} naming all misfits */
function read({ path, store }: AdapterFiles): Adapter {
  const configs = readMetadata(store);
  const problems = new Problems();
  const { entries, overrides } = sortTensors(store.tensors, problems, store.path);
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
    overrides,
    tensors: withoutNumbers(store.tensors, entries),
    files: store.files,
    warnings: [...store.warnings, ...alphaWarnings(new Map(unsettled))],
  };
}

export const diffusersReader: LayoutReader = { detect, read };

function sortTensors(
  tensors: ReadonlyMap<string, TensorData>,
  problems: Problems,
  file: string,
): { readonly entries: Entries; readonly overrides: readonly Override[] } {
  const entries = new Map<string, Map<LycorisFactor, TensorData>>();
  const overrides: Override[] = [];
  const own = partOfPaths([...tensors.keys()].map((name) => readDiffusersKey(name)?.module ?? ""));
  for (const tensor of tensors.values()) {
    if (isNormScale(tensor.name)) {
      overrides.push({ name: withPart(tensor.name, own), value: tensor });
      continue;
    }
    const factors = readFactors(tensor, own);
    if (factors.length === 0) {
      const ending = [...REFUSED.keys()].find((factor) => tensor.name.endsWith(`.${factor}`));
      refuse(tensor, ending, problems, file);
    }
    for (const { module, factor, tensor } of factors) {
      const entry = entries.get(module) ?? new Map<LycorisFactor, TensorData>();
      const other = entry.get(factor);
      if (other !== undefined) problems.add("ADAPTER_MISMATCH", tensor.name, `means the same as ${quote(other.name)}`);
      entries.set(module, entry.set(factor, tensor));
    }
  }
  return { entries, overrides };
}

function readFactors(tensor: TensorData, own: string | undefined): readonly XlabsFactor[] {
  if (isXlabsName(tensor.name)) return readXlabsFactors(tensor) ?? [];
  const key = readDiffusersKey(tensor.name);
  return key === undefined ? [] : [{ ...key, module: withPart(key.module, own), tensor }];
}
