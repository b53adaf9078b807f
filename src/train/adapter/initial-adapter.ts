/**
 * An adapter to start from: a PEFT folder with LoRA or DoRA on linear layers and embeddings, its factors and its settings.
 */

import { join } from "node:path";
import type { Adapter } from "../../adapters/adapter.ts";
import type { Settings } from "../../adapters/layouts/peft/fields.ts";
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
import { type InitialSettings, readInitialSettings } from "./initial-settings.ts";
import { partName } from "./parts.ts";

export interface InitialAdapter {
  readonly path: string;
  readonly settings: InitialSettings;
  /** By the names of trained tensors: `<module>/down` …, and the base's own for whole weights. */
  readonly tensors: ReadonlyMap<string, TensorData>;
  /** By module: what PEFT saves of the base beside adapters of its embeddings. */
  readonly baseWeights: ReadonlyMap<string, TensorData>;
  readonly files: readonly FileIdentity[];
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming what training cannot go on with */
export async function openInitialAdapter(path: string): Promise<InitialAdapter> {
  const adapter = await openAdapter(path);
  const { tensors, baseWeights } = collectTensors(adapter);
  const file = join(path, PEFT_SETTINGS_NAME);
  const { bytes } = readSmallFile(resolveInFolder(path, PEFT_SETTINGS_NAME), MAX_CONFIG_BYTES, file);
  const settings: Settings = { file, values: parseJsonObject(bytes, { file, pythonNumbers: true }) };
  return {
    path,
    settings: readInitialSettings(settings, adapter),
    tensors,
    baseWeights,
    files: adapter.files,
  };
}

/** Numbers in f32, whatever dtype the file has. */
export function readInitialTensors(initial: InitialAdapter): ReadonlyMap<string, Float32Array> {
  const loader = new MatrixLoader(createKernels());
  return new Map(Array.from(initial.tensors, ([name, tensor]) => [name, loader.vector(tensor)]));
}

function collectTensors(adapter: Adapter): Pick<InitialAdapter, "tensors" | "baseWeights"> {
  const refused = (problem: string, subject?: string) =>
    new UnsupportedError("UNSUPPORTED_ADAPTER", `training cannot go on from it: ${problem}`, {
      file: adapter.path,
      ...(subject !== undefined && { subject }),
    });
  if (adapter.layout !== "peft") throw refused(`expected a PEFT folder, got the layout ${adapter.layout}`);
  if (adapter.tokenRows.length > 0) throw refused("it holds trained tokens");
  const tensors = new Map<string, TensorData>();
  const baseWeights = new Map<string, TensorData>();
  for (const { name, kind, parameter, delta, magnitude, bias, baseWeight } of adapter.modules) {
    const isPlain = delta.kind === "lora" && delta.core === undefined && delta.diagonal === undefined;
    if (!isPlain || parameter !== undefined || (kind !== "linear" && kind !== "embedding")) {
      throw refused(`expected LoRA on a linear layer or an embedding, got ${quote(adapter.method)} on ${kind}`, name);
    }
    if (bias !== undefined) throw refused("it has a bias of its own", name);
    if (baseWeight !== undefined) baseWeights.set(name, baseWeight);
    tensors.set(partName(name, "down"), delta.down);
    tensors.set(partName(name, "up"), delta.up);
    if (magnitude !== undefined) tensors.set(partName(name, "magnitude"), magnitude);
  }
  for (const { name, value } of adapter.overrides) tensors.set(name, value);
  return { tensors, baseWeights };
}
