/**
 * An adapter → the files of a PEFT folder: adapter_model.safetensors and adapter_config.json, as PEFT 0.21.2 loads them.
 *
 * Names in the settings are full ones, and patterns are anchored and escaped, so that each hits one module. The rank and
 * alpha that most modules have are `r` and `lora_alpha`. Factors stay bit for bit as they are.
 */

import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { formatJson } from "../../../core/json-text.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { StagedOutput } from "../../../formats/output.ts";
import { canonicalOrder, safetensorsFrame } from "../../../formats/safetensors/writer.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import type { OutputTensor } from "../../output/output-tensor.ts";
import { type AdapterOutput, type FillOptions, fillStage, type WrittenFiles } from "../../output/write-files.ts";
import type { LayoutWriter } from "../layout-writer.ts";
import { modulesOfOneModel } from "../pipeline-part.ts";
import { splitTiedEnds } from "../tied-ends.ts";
import { carriedSettings } from "./carried-settings.ts";
import { assertStackedByPeft } from "./single-experts.ts";
import { REGISTRATION_ORDER } from "./target-parameters.ts";
import { assertUniform } from "./uniform.ts";
import { isLoha, isLokr, writeLoha, writeLokr } from "./written-lycoris.ts";
import { wrapperOf, writePeftModule } from "./written-module.ts";
import { parameterTensors } from "./written-parameters.ts";
import { loraSettings } from "./written-settings.ts";
import { isTokensOnly, writeTokens } from "./written-tokens.ts";
import type { WrittenTensors } from "./written-type.ts";
import { isWholeOnly, writeWhole } from "./written-whole.ts";

export const PEFT_WEIGHTS_NAME = "adapter_model.safetensors";
export const PEFT_SETTINGS_NAME = "adapter_config.json";

const METADATA: ReadonlyMap<string, string> = new Map([["format", "pt"]]);

/** What is written: modules whose tensors lie in files or in memory; `delta` shapes are those of `AdapterModule`. */
export type PeftContent = Pick<Adapter, "modules" | "convention"> &
  Partial<Pick<Adapter, "overrides" | "tokenRows" | "baseModel" | "keepsTie" | "fanInFanOut">>;

export interface PeftWriteOptions {
  /** Settings besides those that follow from the modules; they win. */
  readonly settings?: JsonObject;
}

/**
 * Plans the files; nothing is read but small factors that must be multiplied out.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the module that PEFT's LoRA cannot express
 */
export function planPeft(content: PeftContent, { settings = new Map() }: PeftWriteOptions = {}): AdapterOutput {
  const { modules, convention } = content;
  const untargeted = writeUntargeted(content);
  if (untargeted !== undefined) return peftFolder(untargeted.tensors, untargeted.settings);
  assertUniform(modules);
  const paths = factorPaths(modules);
  const written = modules.map((module) => writePeftModule(module, paths.get(module) ?? module.name, convention));
  const parameters = parameterTensors(content);
  const derived: JsonObject = loraSettings(content, written, parameters.settings);
  const tensors = [...written.flatMap((module) => module.tensors), ...parameters.tensors];
  return peftFolder(tensors, new Map<string, JsonValue>([...derived, ...settings]));
}

/** What has no factors, under the type that PEFT has for it: its LoRA does not load without a target. */
function writeUntargeted({
  modules,
  overrides = [],
  tokenRows = [],
  baseModel,
}: PeftContent): WrittenTensors | undefined {
  if (modules.length > 0) return undefined;
  if (isTokensOnly({ overrides, tokenRows })) return writeTokens(tokenRows, baseModel);
  if (isWholeOnly({ overrides, tokenRows })) return writeWhole(overrides, baseModel);
  return undefined;
}

function peftFolder(tensors: readonly OutputTensor[], settings: JsonObject): AdapterOutput {
  const sorted = new Map([...settings].sort(([a], [b]) => compareCodePoints(a, b)));
  return {
    weightsName: PEFT_WEIGHTS_NAME,
    tensors: canonicalOrder(tensors),
    frame: (entries) => safetensorsFrame(entries, METADATA),
    metadata: METADATA,
    texts: new Map([[PEFT_SETTINGS_NAME, formatJson(sorted)]]),
  };
}

/** Any adapter as a PEFT folder; settings of a PEFT adapter that stay true are carried over. */
export const peftWriter: LayoutWriter = (adapter, context) => {
  const split = splitTiedEnds(adapter, context);
  const modules = modulesOfOneModel({ ...adapter, modules: split.modules }, "a PEFT folder");
  const other = isLoha(modules)
    ? writeLoha(modules, adapter)
    : isLokr(modules)
      ? writeLokr(modules, adapter)
      : undefined;
  if (other !== undefined) return { ...peftFolder(other.tensors, other.settings), notes: [] };
  if (adapter.layout !== "peft") assertStackedByPeft(modules, context.baseConfig);
  const planned = planPeft({ ...adapter, modules }, { settings: carriedSettings(adapter) });
  return { ...planned, notes: split.notes };
};

/** Fills a stage with a PEFT folder, which is left to the caller to publish. */
export function writePeft(
  staged: StagedOutput,
  content: PeftContent,
  options: PeftWriteOptions & FillOptions = {},
): Promise<WrittenFiles> {
  return fillStage(staged, planPeft(content, options), options);
}

/** Where the factors of each module lie, wrappers included. */
function factorPaths(modules: readonly AdapterModule[]): ReadonlyMap<AdapterModule, string> {
  const byName = new Map<string, AdapterModule[]>();
  for (const module of modules) byName.set(module.name, [...(byName.get(module.name) ?? []), module]);
  const paths = new Map<AdapterModule, string>();
  for (const [name, group] of byName) {
    const order = ({ parameter }: AdapterModule) => REGISTRATION_ORDER.indexOf(parameter ?? "");
    const outermostFirst = group.toSorted((a, b) => order(b) - order(a));
    for (const [depth, module] of outermostFirst.entries()) {
      const wrapper = wrapperOf(module);
      const path = wrapper === undefined ? name : `${wrapper}.base_layer.${name.slice(wrapper.length + 1)}`;
      paths.set(module, path + ".base_layer".repeat(depth));
    }
  }
  return paths;
}
