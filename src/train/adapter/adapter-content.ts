/**
 * The trained tensors as an adapter: what its PEFT folder holds, with the settings that the user chose.
 */

import type { AdapterModule, Override } from "../../adapters/adapter.ts";
import { type PeftContent, planPeft } from "../../adapters/layouts/peft/write.ts";
import type { AdapterOutput } from "../../adapters/output/write-files.ts";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { lastPart } from "../../core/text.ts";
import { memoryTensor } from "../../formats/memory-tensor.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Base } from "../base/base.ts";
import type { AdapterSettings } from "../settings.ts";
import { INITIALISATIONS, leavesResidual } from "./initialisations.ts";
import { adapterKind, type Part, partName } from "./parts.ts";
import { parseTargets, type SelectedModule } from "./select-modules.ts";
import type { TrainedSet, TrainedTensor } from "./trained-tensors.ts";

/** The files of a PEFT folder; the tensors lie in the memory of the run until they are written. */
export function planTrainedAdapter(set: TrainedSet, base: Base, settings: AdapterSettings): AdapterOutput {
  const tensors = new Map(set.tensors.map((tensor) => [tensor.name, tensor]));
  const content: PeftContent = {
    convention: settings.convention,
    modules: set.modules.map((selected) => ({
      ...moduleOf(selected, tensors, settings),
      ...baseWeightOf(selected, set),
    })),
    overrides: set.saved.map(({ name, parameter }): Override => ({ name: parameter, value: dataOf(tensors, name) })),
    baseModel: base.path,
    fanInFanOut: set.modules.some(({ layer }) => layer.kind === "conv1d"),
  };
  return planPeft(content, { settings: chosenSettings(set, settings) });
}

/** Settings as they were asked for: they select the same modules, and say it as the user did. */
function chosenSettings({ modules }: TrainedSet, settings: AdapterSettings): JsonObject {
  const numbers = (pattern: ReadonlyMap<string, number>): JsonValue => new Map<string, JsonValue>(pattern);
  return new Map<string, JsonValue>([
    ["task_type", "CAUSAL_LM"],
    ["r", settings.rank],
    ["lora_alpha", settings.alpha],
    ["rank_pattern", numbers(settings.rankPattern)],
    ["alpha_pattern", numbers(settings.alphaPattern)],
    ["target_modules", targetNames(modules, settings)],
    ["layers_to_transform", settings.layers === undefined ? null : [...settings.layers]],
    ["modules_to_save", settings.modulesToSave.length === 0 ? null : [...settings.modulesToSave]],
    ["lora_dropout", settings.dropout],
    ["init_lora_weights", INITIALISATIONS[settings.init]],
  ]);
}

/** A list as it was given; `all-linear` as the last parts of the names, which is what PEFT writes for it. */
function targetNames(modules: readonly SelectedModule[], { targetModules }: AdapterSettings): JsonValue {
  const targets = parseTargets(targetModules);
  if (typeof targets !== "string") return [...targets];
  if (targets !== "all-linear") return targets;
  return [...new Set(modules.map(({ layer }) => lastPart(layer.module)))].sort();
}

function moduleOf(
  { layer, rank, alpha, scale }: SelectedModule,
  tensors: ReadonlyMap<string, TrainedTensor>,
  { dora, init }: AdapterSettings,
): AdapterModule {
  const part = (name: Part) => dataOf(tensors, partName(layer.module, name));
  const kind = adapterKind(layer);
  return {
    name: layer.module,
    kind,
    delta: { kind: "lora", down: part("down"), up: part("up") },
    rank,
    alpha,
    scale,
    ...(dora && { magnitude: part("magnitude") }),
    ...(leavesResidual(init, kind) && { residual: init }),
  };
}

function baseWeightOf({ layer }: SelectedModule, { baseWeights }: TrainedSet): Pick<AdapterModule, "baseWeight"> {
  const baseWeight = baseWeights.get(layer.module);
  return baseWeight === undefined ? {} : { baseWeight };
}

function dataOf(tensors: ReadonlyMap<string, TrainedTensor>, name: string): TensorData {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`no trained tensor ${name}`);
  return memoryTensor(name, tensor.shape, tensor.values);
}
