/**
 * Opens an adapter as the user names it: a folder with one of the names that tools give weights, or one weights
 * file, with the settings beside it. Headers only; tensors stay on disk. Pickle files are never opened.
 */

import { dirname, join } from "node:path";
import { tensorBytes } from "../core/dtype.ts";
import { FileError, FormatError, UnsupportedError } from "../core/errors.ts";
import { parseJsonObject } from "../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../core/limits.ts";
import { quote, summarise } from "../core/text.ts";
import { explainAbsent } from "../formats/absent-path.ts";
import { readSmallFile, withFile } from "../formats/byte-source.ts";
import { INDEX_SUFFIX } from "../formats/find-weights.ts";
import { listFolder, resolveInFolder } from "../formats/model-folder.ts";
import { findFormat, openStore } from "../formats/registry.ts";
import { openSafetensors } from "../formats/safetensors/reader.ts";
import type { FileIdentity, TensorData } from "../formats/tensor-store.ts";
import { type Adapter, LAYOUTS, type Layout } from "./adapter.ts";
import { diffusersReader } from "./layouts/diffusers/read.ts";
import { ggufReader } from "./layouts/gguf/read.ts";
import { kohyaReader } from "./layouts/kohya/read.ts";
import type { AdapterFiles, LayoutReader, SettingsFile } from "./layouts/layout-reader.ts";
import { mlxReader } from "./layouts/mlx/read.ts";
import { onnxAdapterReader } from "./layouts/onnx-adapter/read.ts";
import { peftReader } from "./layouts/peft/read.ts";
import type { AdapterOutput } from "./output/write-files.ts";

/** Of PEFT, mlx-lm and diffusers. */
const WEIGHTS_NAMES = ["adapter_model.safetensors", "adapters.safetensors", "pytorch_lora_weights.safetensors"];
const SETTINGS_NAME = "adapter_config.json";

const READERS: Record<Layout, LayoutReader> = {
  mlx: mlxReader,
  kohya: kohyaReader,
  diffusers: diffusersReader,
  gguf: ggufReader,
  "onnx-adapter": onnxAdapterReader,
  peft: peftReader,
};

/**
 * @param path folder of an adapter, or one weights file
 * @throws {FileError | FormatError | UnsupportedError | MismatchError} naming the file and all misfits in it
 */
export async function openAdapter(path: string): Promise<Adapter> {
  const names = folderNames(path);
  const files = names === undefined ? openFile(path) : openFolder(path, names);
  const layout = LAYOUTS.find((candidate) => READERS[candidate].detect(files));
  if (layout !== undefined) return READERS[layout].read(files);
  const examples = summarise([...files.store.tensors.keys()].map(quote), 3);
  throw new UnsupportedError(
    "UNSUPPORTED_FORMAT",
    `not an adapter of a known layout (${LAYOUTS.join(", ")}), it holds ${examples}`,
    {
      file: files.store.path,
    },
  );
}

/**
 * The adapter that files will be, from their plan: a check of what is about to be written, by the reader that others use.
 *
 * @param path how errors name the files
 */
export function readPlanned(layout: Layout, output: AdapterOutput, path: string): Adapter {
  const tensors = output.tensors.map(({ name, dtype, shape, blocks: [block], ...tensor }): [string, TensorData] => {
    const source = block?.view.tensor.source ?? { kind: "memory", bytes: new Uint8Array() };
    return [name, { name, dtype, shape, byteLength: tensorBytes({ dtype, shape, ...tensor }), source }];
  });
  const [[name, text] = []] = output.texts;
  const file = name === undefined ? path : join(path, name);
  const settings = text === undefined ? undefined : parseJsonObject(new TextEncoder().encode(text), { file });
  return READERS[layout].read({
    path,
    store: { path, tensors: new Map(tensors), metadata: output.metadata, files: [], warnings: [] },
    settings: settings && { path: file, values: settings, identity: NOT_WRITTEN },
  });
}

const NOT_WRITTEN: FileIdentity = { path: "", size: 0, device: 0n, inode: 0n, modifiedNs: 0n, changedNs: 0n };

/** Whether a path holds an adapter and not a model, judged by file names in a folder and by tensor names in a file. */
export function isAdapter(path: string): boolean {
  const names = folderNames(path);
  if (names !== undefined)
    return (
      names.includes(SETTINGS_NAME) ||
      names.some((name) => WEIGHTS_NAMES.includes(name) || name.startsWith("adapter_model."))
    );
  if (path.endsWith(INDEX_SUFFIX) || findFormat(path) === "onnx") return false;
  const files = openFile(path);
  return LAYOUTS.some((layout) => READERS[layout].detect(files));
}

/** Names in a folder; `undefined` when the path is no folder. */
function folderNames(path: string): readonly string[] | undefined {
  try {
    return listFolder(path);
  } catch (error) {
    if (!(error instanceof FileError) || error.code === "PERMISSION_DENIED") throw error;
    assertFile(path);
    return undefined;
  }
}

function assertFile(path: string): void {
  try {
    withFile(path, () => undefined);
  } catch (error) {
    throw explainAbsent(error, path);
  }
}

function openFolder(folder: string, names: readonly string[]): AdapterFiles {
  const [weights, other] = WEIGHTS_NAMES.filter((name) => names.includes(name));
  if (weights === undefined) throw missingWeights(folder, names);
  if (other !== undefined) {
    const problem = `expected the weights of one adapter in the folder, got ${weights} and ${other}`;
    throw new FormatError("INVALID_MODEL", problem, { file: folder, hint: "name the file that you mean" });
  }
  return {
    path: folder,
    store: openSafetensors(resolveInFolder(folder, weights), join(folder, weights)),
    settings: findSettings(folder, names),
  };
}

function openFile(path: string): AdapterFiles {
  if (findFormat(path) === "onnx") {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "an ONNX graph is no adapter", {
      file: path,
      hint: "to fold the LoRA branches of a graph into it: lora-tool merge graph.onnx --fold -o folded.onnx",
    });
  }
  const folder = dirname(path);
  return { path, store: openStore(path), settings: findSettings(folder, listFolder(folder)) };
}

function findSettings(folder: string, names: readonly string[]): SettingsFile | undefined {
  if (!names.includes(SETTINGS_NAME)) return undefined;
  const shownPath = join(folder, SETTINGS_NAME);
  const { bytes, identity } = readSmallFile(resolveInFolder(folder, SETTINGS_NAME), MAX_CONFIG_BYTES);
  return { path: shownPath, values: parseJsonObject(bytes, { file: shownPath }), identity };
}

function missingWeights(folder: string, names: readonly string[]): FileError | UnsupportedError {
  if (names.includes("adapter_model.bin")) {
    return new UnsupportedError("UNSUPPORTED_FORMAT", "adapter_model.bin is a pickle, which is never opened", {
      file: folder,
      hint: "pickle files can run code: load the adapter in PEFT and save it again with save_pretrained",
    });
  }
  const weights = names.filter((name) => name.endsWith(".safetensors"));
  if (weights.length === 0 && names.includes(SETTINGS_NAME)) {
    return new FileError("FILE_NOT_FOUND", `holds ${SETTINGS_NAME}, but not the weights that belong to it`, {
      file: folder,
      hint: "the download or the save may be incomplete",
    });
  }
  if (names.includes("config.json") && weights.some((name) => /^model[.-]/.test(name))) {
    return new FileError("FILE_NOT_FOUND", "expected an adapter, got a model", {
      file: folder,
      hint: "name the folder or file of the adapter itself; merge and verify take the base before it",
    });
  }
  const single = weights.length === 0 ? {} : { hint: `name the file itself: ${summarise(weights.map(quote))}` };
  const found = names.length === 0 ? "nothing" : summarise(names.map(quote));
  return new FileError("FILE_NOT_FOUND", `expected ${WEIGHTS_NAMES.join(" or ")} in the folder, got ${found}`, {
    file: folder,
    ...single,
  });
}
