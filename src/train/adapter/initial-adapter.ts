/**
 * An adapter to start from: a PEFT folder with LoRA or DoRA on linear layers and embeddings, its factors and its settings.
 */

import { join } from "node:path";
import type { Adapter, Convention } from "../../adapters/adapter.ts";
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
import { PEFT_SETTINGS_NAME } from "../../adapters/layouts/peft/write.ts";
import { MatrixLoader } from "../../adapters/load-matrix.ts";
import { openAdapter } from "../../adapters/open-adapter.ts";
import { createKernels } from "../../core/cast/kernels.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../../core/limits.ts";
import { quote } from "../../core/text.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { resolveInFolder } from "../../formats/model-folder.ts";
import type { FileIdentity, TensorData } from "../../formats/tensor-store.ts";
import type { InitialisationName } from "./initialisations.ts";
import { partName } from "./parts.ts";

/** What settings of a run take over from it. */
export interface InitialSettings {
  readonly convention: Convention;
  readonly rank: number;
  readonly alpha: number;
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  readonly targetModules: string | readonly string[];
  readonly layers: readonly number[] | undefined;
  readonly modulesToSave: readonly string[];
  readonly dora: boolean;
  /** One that changes the base, which then has to be changed again. */
  readonly init: InitialisationName | undefined;
}

export interface InitialAdapter {
  readonly path: string;
  readonly settings: InitialSettings;
  /** By the names of trained tensors: `<module>/down` …, and the base's own for whole weights. */
  readonly tensors: ReadonlyMap<string, TensorData>;
  readonly files: readonly FileIdentity[];
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming what training cannot go on with */
export async function openInitialAdapter(path: string): Promise<InitialAdapter> {
  const adapter = await openAdapter(path);
  const tensors = collectTensors(adapter);
  const file = join(path, PEFT_SETTINGS_NAME);
  const { bytes } = readSmallFile(resolveInFolder(path, PEFT_SETTINGS_NAME), MAX_CONFIG_BYTES, file);
  const settings: Settings = { file, values: parseJsonObject(bytes, { file, pythonNumbers: true }) };
  return {
    path,
    settings: {
      convention: adapter.convention,
      rank: rankField(settings, "r"),
      alpha: alphaField(settings, "lora_alpha"),
      rankPattern: patternField(settings, "rank_pattern", toRank),
      alphaPattern: patternField(settings, "alpha_pattern", toAlpha),
      targetModules: namesField(settings, "target_modules") ?? adapter.modules.map(({ name }) => name),
      layers: indicesField(settings, "layers_to_transform"),
      modulesToSave: nameListField(settings, "modules_to_save"),
      dora: booleanField(settings, "use_dora", false),
      init: adapter.modules.find(({ residual }) => residual !== undefined)?.residual,
    },
    tensors,
    files: adapter.files,
  };
}

/** Numbers in f32, whatever dtype the file has. */
export function readInitialTensors(initial: InitialAdapter): ReadonlyMap<string, Float32Array> {
  const loader = new MatrixLoader(createKernels());
  return new Map(Array.from(initial.tensors, ([name, tensor]) => [name, loader.vector(tensor)]));
}

function collectTensors(adapter: Adapter): Map<string, TensorData> {
  const refused = (problem: string, subject?: string) =>
    new UnsupportedError("UNSUPPORTED_ADAPTER", `training cannot go on from it: ${problem}`, {
      file: adapter.path,
      ...(subject !== undefined && { subject }),
    });
  if (adapter.layout !== "peft") throw refused(`expected a PEFT folder, got the layout ${adapter.layout}`);
  if (adapter.tokenRows.length > 0) throw refused("it holds trained tokens");
  const tensors = new Map<string, TensorData>();
  for (const { name, kind, parameter, delta, magnitude, bias, baseWeight } of adapter.modules) {
    const isPlain = delta.kind === "lora" && delta.core === undefined && delta.diagonal === undefined;
    if (!isPlain || parameter !== undefined || (kind !== "linear" && kind !== "embedding")) {
      throw refused(`expected LoRA on a linear layer or an embedding, got ${quote(adapter.method)} on ${kind}`, name);
    }
    if (bias !== undefined || baseWeight !== undefined)
      throw refused("it has a bias or a base weight of its own", name);
    tensors.set(partName(name, "down"), delta.down);
    tensors.set(partName(name, "up"), delta.up);
    if (magnitude !== undefined) tensors.set(partName(name, "magnitude"), magnitude);
  }
  for (const { name, value } of adapter.overrides) tensors.set(name, value);
  return tensors;
}
