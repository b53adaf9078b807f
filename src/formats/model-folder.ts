/**
 * Files of a model folder: which exist, which may be followed through links, which travel with the weights.
 *
 * A link inside the folder may lead to a file inside it or, in the hub's cache (`snapshots/<revision>/` beside `blobs/`),
 * to a blob of the same repository. Anything else would let a downloaded folder read files of this machine.
 */

import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { FileError, toFileError } from "../core/errors.ts";
import { MAX_SMALL_FILE_BYTES } from "../core/limits.ts";
import { escapeText, summarise } from "../core/text.ts";

/** Names that inference needs or that a licence wants kept; code is never among them. */
const SMALL_FILES = [
  /^(?:config|generation_config|preprocessor_config|processor_config|video_preprocessor_config)\.json$/,
  /^(?:tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|quantize_config)\.json$/,
  /^(?:merges|vocab)\.txt$/,
  /^(?:tokenizer\.model|spiece\.model|sentencepiece\.bpe\.model|tekken\.json|chat_template\.jinja)$/,
  /^(?:modules|config_sentence_transformers|sentence_bert_config)\.json$/,
  /^(?:LICENSE|LICENCE|NOTICE|USE_POLICY)(?:\.(?:md|txt))?$/i,
];

/** Names that every download leaves and nobody misses. */
const UNREMARKABLE = /^(?:README\.md|\.gitattributes|\.cache|\.git|.*\.safetensors|.*\.safetensors\.index\.json)$/;

/** The real path of a file in the folder. @throws {FileError} PATH_ESCAPE when a link leads out of the model */
export function resolveInFolder(folder: string, name: string): string {
  const shown = join(folder, name);
  try {
    const root = realpathSync(folder);
    const target = realpathSync(shown);
    const roots = [root, ...blobsOf(root)];
    if (roots.some((allowed) => target.startsWith(allowed.endsWith(sep) ? allowed : allowed + sep))) return target;
  } catch (error) {
    throw toFileError(error, shown);
  }
  throw new FileError("PATH_ESCAPE", "is a link that leads out of the model's folder", {
    file: shown,
    hint: "replace the link by the file itself",
  });
}

/** `models--owner--name/snapshots/<revision>` has its files in `models--owner--name/blobs`. */
function blobsOf(root: string): string[] {
  const snapshots = dirname(root);
  return basename(snapshots) === "snapshots" ? [join(dirname(snapshots), "blobs")] : [];
}

/** Names in a folder, sorted. */
export function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    throw toFileError(error, folder);
  }
}

/** The small files to carry over, by name, and a warning that names what stays behind. */
export function collectSmallFiles(folder: string): { files: Map<string, string>; warnings: string[] } {
  const files = new Map<string, string>();
  const left: string[] = [];
  for (const name of listFolder(folder)) {
    if (!SMALL_FILES.some((pattern) => pattern.test(name))) {
      if (!UNREMARKABLE.test(name)) left.push(escapeText(name));
      continue;
    }
    const path = resolveInFolder(folder, name);
    const status = statSync(path);
    if (!status.isFile() || status.size > MAX_SMALL_FILE_BYTES) left.push(escapeText(name));
    else files.set(name, path);
  }
  const warnings = left.length === 0 ? [] : [`${escapeText(folder)}: not carried over: ${summarise(left, 8)}`];
  return { files, warnings };
}
