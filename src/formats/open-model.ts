/**
 * Opens a base model, from headers only: an HF folder, a shard index, one weights file, or an ONNX graph.
 *
 * Refused: pickle weights, a folder in which it is unclear which weights count, an index that its shards contradict, and
 * links that lead out of the model. The path that the user names may itself be a link to anywhere.
 */

import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { FileError, FormatError, LoraToolError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { escapeText, summarise } from "../core/text.ts";
import { explainAbsent } from "./absent-path.ts";
import { findWeights, INDEX_SUFFIX } from "./find-weights.ts";
import type { Model, WeightFile } from "./model.ts";
import { configInMetadata, findModelConfig, readModelConfig } from "./model-config.ts";
import { collectSmallFiles, listFolder, resolveInFolder } from "./model-folder.ts";
import { CONFIG_KEY } from "./onnx/metadata.ts";
import type { OnnxModel } from "./onnx/model.ts";
import { openParameters } from "./onnx/parameters/open.ts";
import { findFormat, openStore } from "./registry.ts";
import { openSafetensors } from "./safetensors/reader.ts";
import { checkIndex, readShardedIndex } from "./safetensors/sharded-index.ts";
import type { FileIdentity, TensorData, TensorStore } from "./tensor-store.ts";

/**
 * Opens a model.
 *
 * @param path HF folder, `*.safetensors.index.json` inside one, or one weights file
 * @throws {FileError | FormatError | UnsupportedError} naming the file at fault
 */
export async function openModel(path: string): Promise<Model> {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw explainAbsent(error, path);
  }
  if (isFolder) return openFolder(path, findWeights(path, listFolder(path)));
  if (!path.endsWith(INDEX_SUFFIX)) return openSingleFile(path);
  const index = locateIndex(path);
  return openFolder(dirname(index), basename(index));
}

/** An index that is a link out of its folder stands for the model that it leads to. */
function locateIndex(path: string): string {
  try {
    resolveInFolder(dirname(path), basename(path));
    return path;
  } catch (error) {
    if (error instanceof FileError && error.code === "PATH_ESCAPE") return realpathSync(path);
    throw error;
  }
}

function openFolder(folder: string, weightsName: string): Model {
  const stores = new Map<string, TensorStore>();
  const files: FileIdentity[] = [];
  const warnings: string[] = [];
  const indexed = weightsName.endsWith(INDEX_SUFFIX);
  if (indexed) {
    const indexPath = join(folder, weightsName);
    const index = readShardedIndex(resolveInFolder(folder, weightsName), indexPath);
    files.push(index.identity);
    for (const [name, store] of openShards(folder, index.shards, indexPath)) stores.set(name, store);
    warnings.push(...checkIndex(index, stores, indexPath));
  } else {
    stores.set(weightsName, openSafetensors(resolveInFolder(folder, weightsName), join(folder, weightsName)));
  }
  const tensors = new Map<string, TensorData>();
  for (const store of stores.values()) {
    for (const tensor of store.tensors.values()) tensors.set(tensor.name, tensor);
    files.push(...store.files);
    warnings.push(...store.warnings);
  }
  const small = collectSmallFiles(folder, new Set([weightsName, ...stores.keys()]));
  const configPath = small.files.get("config.json");
  return {
    path: folder,
    kind: "folder",
    store: {
      path: folder,
      tensors,
      metadata: [...stores.values()][0]?.metadata ?? new Map<string, string>(),
      files,
      warnings,
    },
    weightFiles: [...stores].map(([name, store]) => weightFile(name, store)),
    indexName: indexed ? weightsName : undefined,
    config: configPath === undefined ? undefined : readModelConfig(configPath, join(folder, "config.json")),
    smallFiles: small.files,
    leftBehind: small.warnings,
  };
}

/** Opens every shard; all that are broken are named at once. */
function openShards(folder: string, shards: readonly string[], indexPath: string): Map<string, TensorStore> {
  const stores = new Map<string, TensorStore>();
  const failures: LoraToolError[] = [];
  for (const shard of shards) {
    const shown = join(folder, shard);
    try {
      stores.set(shard, openSafetensors(resolveInFolder(folder, shard), shown));
    } catch (error) {
      if (!(error instanceof LoraToolError)) throw error;
      failures.push(error.code === "FILE_NOT_FOUND" ? missingShard(shown, indexPath, error) : error);
    }
  }
  const [first, ...more] = failures;
  if (first === undefined) return stores;
  if (more.length === 0) throw first;
  const lines = failures.map((failure) => failure.message);
  throw new FormatError("INVALID_INDEX", `${failures.length} shards cannot be read: ${summarise(lines, 10)}`, {
    file: indexPath,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    cause: first,
  });
}

function missingShard(shard: string, indexPath: string, cause: unknown): FileError {
  const hint = `${escapeText(indexPath)} names it: the download may be incomplete`;
  return new FileError("FILE_NOT_FOUND", "no such file or folder", { file: shard, hint, cause });
}

function openSingleFile(path: string): Model {
  if (findFormat(path) === "onnx") return openGraph(path);
  const store = openStore(path);
  const { config, warnings } = readConfigBeside(path);
  return {
    path,
    kind: "file",
    store: { ...store, warnings: [...store.warnings, ...warnings] },
    weightFiles: [weightFile(basename(path), store)],
    indexName: undefined,
    config,
    smallFiles: new Map(),
    leftBehind: [],
  };
}

/** The settings of an ONNX file may lie one folder up: the hub keeps graphs in a folder `onnx` of the model. */
function openGraph(path: string): Model {
  // Absolute, so that worker threads find the file wherever they run.
  const { graph, store } = openParameters(resolve(path), path);
  const folder = dirname(resolve(path));
  const beside = readConfigInside(graph.model) ?? readConfigBeside(path);
  const above = basename(folder) === "onnx" && beside.config === undefined ? readConfigBeside(folder) : beside;
  return {
    path,
    kind: "file",
    store: { ...store, warnings: [...store.warnings, ...beside.warnings] },
    weightFiles: [weightFile(basename(path), store)],
    indexName: undefined,
    config: above.config,
    smallFiles: new Map(),
    leftBehind: [],
    graph,
  };
}

interface FoundConfig {
  readonly config: JsonObject | undefined;
  readonly warnings: readonly string[];
}

function readConfigBeside(path: string): FoundConfig {
  return attemptConfig(() => findModelConfig(dirname(path)));
}

/** Exported models carry theirs in the metadata. */
function readConfigInside(model: OnnxModel): FoundConfig | undefined {
  return model.metadata.has(CONFIG_KEY) ? attemptConfig(() => configInMetadata(model)) : undefined;
}

/** A config.json around or in one file is no part of what the user named: a broken one is told and left out. */
function attemptConfig(read: () => JsonObject | undefined): FoundConfig {
  try {
    return { config: read(), warnings: [] };
  } catch (error) {
    if (!(error instanceof LoraToolError)) throw error;
    return { config: undefined, warnings: [`${error.message}; the model's settings stay unknown`] };
  }
}

function weightFile(name: string, store: TensorStore): WeightFile {
  return { name, tensors: [...store.tensors.keys()], metadata: store.metadata };
}
