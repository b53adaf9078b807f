/**
 * Which file starts the weights of a model folder: the shard index or the only weights file.
 *
 * Both at once, or shards of two different counts, mean that an older save lies beside a newer one; guessing would merge
 * into the wrong one, so it is refused.
 */

import { join } from "node:path";
import { FileError, FormatError, UnsupportedError } from "../core/errors.ts";
import { escapeText, quote, summarise } from "../core/text.ts";

export const INDEX_SUFFIX = ".safetensors.index.json";
/** What transformers saves; other stems (diffusers' own, Mistral's `consolidated`) count only where this one is absent. */
const STEM = "model";
const SHARD_NAME = /^(.+)-\d{5}-of-(\d{5})\.safetensors$/;

/**
 * The name of the index or of the weights file.
 *
 * @param names all names in the folder
 * @throws {FormatError} INVALID_INDEX when several saves lie in the folder
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT when there are pickles only
 * @throws {FileError} FILE_NOT_FOUND when there are no weights or no way to choose among them
 */
export function findWeights(folder: string, names: readonly string[]): string {
  const weights = names.filter((name) => name.endsWith(".safetensors") && !name.startsWith("adapter_"));
  const stem = chooseStem(names, weights);
  if (stem === undefined) throw noWeights(folder, names, weights);
  const counts = new Set(
    weights.flatMap((name) => {
      const [, shardStem, count] = SHARD_NAME.exec(name) ?? [];
      return shardStem === stem ? [`${stem}-*-of-${count}.safetensors`] : [];
    }),
  );
  const found = [`${stem}${INDEX_SUFFIX}`, `${stem}.safetensors`].filter((name) => names.includes(name));
  const [start] = found;
  if (start === undefined) throw noWeights(folder, names, weights);
  const indexed = start.endsWith(INDEX_SUFFIX);
  if (found.length === 1 && counts.size <= (indexed ? 1 : 0)) return start;
  throw new FormatError(
    "INVALID_INDEX",
    `holds several saves of the weights: ${summarise([...found, ...counts].map(escapeText))}`,
    {
      file: folder,
      hint: "name the index or the weights file that you mean, or remove what is left of the other save",
    },
  );
}

function chooseStem(names: readonly string[], weights: readonly string[]): string | undefined {
  if (names.includes(`${STEM}.safetensors`)) return STEM;
  const stems = names.flatMap((name) => (name.endsWith(INDEX_SUFFIX) ? [name.slice(0, -INDEX_SUFFIX.length)] : []));
  if (stems.includes(STEM)) return STEM;
  if (stems.length > 0) return stems.length === 1 ? stems[0] : undefined;
  const [only, ...more] = weights;
  // One shard alone is not a model.
  if (only === undefined || more.length > 0 || SHARD_NAME.test(only)) return undefined;
  return only.slice(0, -".safetensors".length);
}

function noWeights(folder: string, names: readonly string[], weights: readonly string[]): FileError | UnsupportedError {
  if (weights.length === 0 && names.some((name) => /\.(?:bin|pt|pth|ckpt)$/.test(name))) {
    return new UnsupportedError("UNSUPPORTED_FORMAT", "holds pickle weights only, expected safetensors", {
      file: folder,
      hint: "pickle files can run code and are never opened: save the model as safetensors",
    });
  }
  if (names.includes("adapter_config.json")) {
    return new FileError("FILE_NOT_FOUND", "expected a model, got an adapter", {
      file: folder,
      hint: "its base is named by base_model_name_or_path in adapter_config.json",
    });
  }
  const shown = weights.length > 0 ? weights : names;
  const found = shown.length === 0 ? "an empty folder" : summarise(shown.map(quote));
  const problem = `expected ${STEM}.safetensors or ${STEM}${INDEX_SUFFIX}, got ${found}`;
  const hint = hintFor(folder, names, weights);
  return new FileError("FILE_NOT_FOUND", problem, { file: folder, ...(hint !== undefined && { hint }) });
}

function hintFor(folder: string, names: readonly string[], weights: readonly string[]): string | undefined {
  const inside = (name: string) => escapeText(join(folder, name));
  const graph = names.find((name) => name.endsWith(".onnx"));
  if (graph !== undefined) return `name the graph itself: ${inside(graph)}`;
  if (names.includes("snapshots")) return `name one of the snapshots: ${inside("snapshots")}/…`;
  if (names.includes("model_index.json")) return `name the part that is meant, such as ${inside("unet")}`;
  if (weights.length === 0 && names.includes("config.json")) return "the download may be incomplete";
  return undefined;
}
