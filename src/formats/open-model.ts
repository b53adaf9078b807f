/**
 * Opens a base model: an HF folder, a shard index, or one weights file.
 */

import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { FileError, FormatError, LoraToolError, toFileError, UnsupportedError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { parseJsonObject } from "../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../core/limits.ts";
import { escapeText, quote, summarise } from "../core/text.ts";
import { readSmallFile } from "./byte-source.ts";
import type { Model, WeightFile } from "./model.ts";
import { collectSmallFiles, listFolder, resolveInFolder } from "./model-folder.ts";
import { openStore } from "./registry.ts";
import { openSafetensors } from "./safetensors/reader.ts";
import { checkIndex, readShardedIndex } from "./safetensors/sharded-index.ts";
import type { TensorData, TensorStore } from "./tensor-store.ts";

const INDEX_NAME = "model.safetensors.index.json";
const SINGLE_NAME = "model.safetensors";

/**
 * Opens a model from headers only.
 *
 * @param path HF folder, `*.safetensors.index.json` inside one, or one weights file
 * @throws {FileError | FormatError | UnsupportedError} naming the file at fault
 */
export async function openModel(path: string): Promise<Model> {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw toFileError(error, path);
  }
  if (isFolder) return openFolder(path, findWeights(path));
  if (path.endsWith(".index.json")) return openFolder(dirname(path), basename(path));
  return openSingleFile(path);
}

/** The file that starts the weights of a folder: the index or the only weights file. */
function findWeights(folder: string): string {
  const names = listFolder(folder);
  const indexed = names.includes(INDEX_NAME);
  if (indexed && names.includes(SINGLE_NAME)) {
    throw new FormatError("INVALID_INDEX", `holds both ${SINGLE_NAME} and ${INDEX_NAME}`, {
      file: folder,
      hint: "name the one you mean instead of the folder",
    });
  }
  if (indexed) return INDEX_NAME;
  if (names.includes(SINGLE_NAME)) return SINGLE_NAME;
  const weights = names.filter((name) => name.endsWith(".safetensors") && !name.startsWith("adapter_"));
  if (weights.length === 1 && weights[0] !== undefined) return weights[0];
  if (names.some((name) => /\.(?:bin|pt|pth|ckpt)$/.test(name)) && weights.length === 0) {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "holds pickle weights only", {
      file: folder,
      hint: "pickle files can run code and are never opened: save the model as safetensors",
    });
  }
  const found = weights.length === 0 ? "none" : summarise(weights.map(quote));
  throw new FileError("FILE_NOT_FOUND", `expected ${SINGLE_NAME} or ${INDEX_NAME}, got ${found}`, { file: folder });
}

function openFolder(folder: string, weightsName: string): Model {
  const { files: smallFiles, warnings } = collectSmallFiles(folder);
  const indexed = weightsName.endsWith(".index.json");
  const stores = new Map<string, TensorStore>();
  const files = [];
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
  for (const store of stores.values()) for (const tensor of store.tensors.values()) tensors.set(tensor.name, tensor);
  for (const store of stores.values()) {
    files.push(...store.files);
    warnings.push(...store.warnings);
  }
  const metadata = [...stores.values()][0]?.metadata ?? new Map<string, string>();
  return {
    path: folder,
    kind: "folder",
    store: { path: folder, tensors, metadata, files, warnings },
    weightFiles: [...stores].map(([name, store]) => weightFile(name, store)),
    indexName: indexed ? weightsName : undefined,
    config: readConfig(smallFiles.get("config.json")),
    smallFiles,
  };
}

/** Opens every shard; all that are broken are named at once. */
function openShards(folder: string, shards: readonly string[], indexPath: string): Map<string, TensorStore> {
  const stores = new Map<string, TensorStore>();
  const failures: LoraToolError[] = [];
  for (const shard of shards) {
    try {
      stores.set(shard, openSafetensors(resolveInFolder(folder, shard), join(folder, shard)));
    } catch (error) {
      if (!(error instanceof LoraToolError)) throw error;
      failures.push(error);
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

function openSingleFile(path: string): Model {
  const store = openStore(path);
  const configPath = join(dirname(path), "config.json");
  return {
    path,
    kind: "file",
    store,
    weightFiles: [weightFile(basename(path), store)],
    indexName: undefined,
    config: existsSync(configPath) ? readConfig(configPath) : undefined,
    smallFiles: new Map(),
  };
}

function weightFile(name: string, store: TensorStore): WeightFile {
  return { name, tensors: [...store.tensors.keys()], metadata: store.metadata };
}

function readConfig(path: string | undefined): JsonObject | undefined {
  if (path === undefined) return undefined;
  try {
    return parseJsonObject(readSmallFile(path, MAX_CONFIG_BYTES).bytes, { file: path });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError("INVALID_CONFIG", error.message.replace(`${escapeText(path)}: `, ""), { file: path, cause: error });
  }
}
