/**
 * Files of a model folder: which exist, which may be followed through links, which travel with the weights.
 *
 * A link inside the folder may lead to a file inside it or, in the hub's cache (`snapshots/<revision>/` beside `blobs/`),
 * to a blob of the same repository. Anything else would let a downloaded folder read files of this machine.
 */

import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { FileError, toFileError } from "../core/errors.ts";
import { MAX_SMALL_FILE_BYTES } from "../core/limits.ts";
import { escapeText, summarise } from "../core/text.ts";

/** Names that inference needs or that a licence wants kept; code is never among them. */
const SMALL_FILES = [
  /^(?:config|generation_config|preprocessor_config|processor_config|video_preprocessor_config)\.json$/,
  /^(?:tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|normalizer|tekken)\.json$/,
  /^(?:merges|vocab|dict)\.txt$|^bpe\.codes$/,
  /^(?:tokenizer|spiece|spm|sentencepiece|sentencepiece\.bpe|tiktoken)\.model$/,
  /^(?:source|target)\.spm$|^[\w-]{1,64}\.tiktoken$/,
  /^chat_template\.(?:jinja|json)$|^additional_chat_templates\/[\w-]{1,64}\.jinja$/,
  /^(?:modules|config_sentence_transformers|sentence_bert_config)\.json$|^\d_[A-Z][a-z]{1,32}\/config\.json$/,
  /^(?:LICENSE|LICENCE|NOTICE|USE_POLICY)(?:\.(?:md|txt))?$/i,
];

/** Folders that may hold small files. */
const SMALL_FOLDERS = /^(?:additional_chat_templates|\d_[A-Z][a-z]{1,32})$/;

/** Names that every download leaves and nobody misses. */
const UNREMARKABLE: ReadonlySet<string> = new Set(["README.md", ".gitattributes", ".cache", ".git"]);

/**
 * The real path of a file in the folder.
 *
 * @throws {FileError} PATH_ESCAPE when a link leads out of the model
 */
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

/** `models--owner--name/snapshots/<revision>` and the folders in it have their files in `models--owner--name/blobs`. */
function blobsOf(root: string): string[] {
  const parts = root.split(sep);
  const snapshots = parts.lastIndexOf("snapshots");
  return snapshots > 0 && snapshots < parts.length - 1 ? [[...parts.slice(0, snapshots), "blobs"].join(sep)] : [];
}

/** Names in a folder, sorted. */
export function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    throw toFileError(error, folder);
  }
}

/**
 * The small files to carry over, by name, and a warning that names what stays behind.
 *
 * @param weights names of the index and weights files, which need no mention
 * @param also names that travel besides those of every model
 */
export function collectSmallFiles(
  folder: string,
  weights: ReadonlySet<string>,
  also: ReadonlySet<string> = new Set(),
): { files: Map<string, string>; warnings: string[] } {
  const files = new Map<string, string>();
  const left: string[] = [];
  for (const name of listWithFolders(folder)) {
    const isSmall = also.has(name) || SMALL_FILES.some((pattern) => pattern.test(name));
    const path = isSmall ? resolveInFolder(folder, name) : undefined;
    const status = path === undefined ? undefined : statSync(path);
    if (path !== undefined && status?.isFile() && status.size <= MAX_SMALL_FILE_BYTES) files.set(name, path);
    else if (!UNREMARKABLE.has(name) && !weights.has(name)) left.push(escapeText(name));
  }
  const warnings = left.length === 0 ? [] : [`${escapeText(folder)}: not carried over: ${summarise(left, 8)}`];
  return { files, warnings };
}

/** Names in a folder, with `folder/name` for those in the folders that may hold small files. */
function listWithFolders(folder: string): string[] {
  return listFolder(folder).flatMap((name) => {
    const path = join(folder, name);
    const isFolder = SMALL_FOLDERS.test(name) && lstatSync(path, { throwIfNoEntry: false })?.isDirectory();
    return isFolder ? listFolder(path).map((inner) => `${name}/${inner}`) : [name];
  });
}
