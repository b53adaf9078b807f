/**
 * The containers that weights can lie in, and how a file is recognised as one: by the end of its name, else by its first
 * bytes (files of the hub's cache and of some tools have names that say nothing).
 */

import { resolve } from "node:path";
import { UnsupportedError } from "../core/errors.ts";
import { accessTo, withFile } from "./byte-source.ts";
import { assertNotLookAlike, readStart, startsLikeSafetensors } from "./detect.ts";
import { openGguf, startsLikeGguf } from "./gguf/reader.ts";
import { openOnnxStore, startsLikeOnnx } from "./onnx/reader.ts";
import { openOnnxAdapter, startsLikeOnnxAdapter } from "./onnx-adapter/reader.ts";
import { openSafetensors } from "./safetensors/reader.ts";
import type { TensorStore } from "./tensor-store.ts";

interface Format {
  /** Ends of file names, lower case. */
  readonly extensions: readonly string[];
  /** Whether a file with these first bytes can be one. */
  readonly detect: (start: Uint8Array) => boolean;
  /** `shownPath` is how errors and the store name the file. */
  readonly open: (path: string, shownPath: string) => TensorStore;
}

export const FORMATS = {
  safetensors: { extensions: [".safetensors"], detect: startsLikeSafetensors, open: openSafetensors },
  onnx: { extensions: [".onnx"], detect: startsLikeOnnx, open: openOnnxStore },
  gguf: { extensions: [".gguf"], detect: startsLikeGguf, open: openGguf },
  "onnx-adapter": { extensions: [".onnx_adapter"], detect: startsLikeOnnxAdapter, open: openOnnxAdapter },
} as const satisfies Record<string, Format>;

export type FormatName = keyof typeof FORMATS;

const NAMES = Object.keys(FORMATS) as FormatName[];
const PICKLE_NAME = /\.(?:bin|pt|pth|ckpt|pkl)$/i;

/** The format that a file's name announces. */
export function formatOf(path: string): FormatName | undefined {
  const name = path.toLowerCase();
  return NAMES.find((format) => FORMATS[format].extensions.some((extension) => name.endsWith(extension)));
}

/**
 * Opens one weights file, from its headers.
 *
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT for pickles, which are never opened, and for what no format recognises
 * @throws {FileError | FormatError} for what cannot be read or is malformed
 */
export function openStore(path: string): TensorStore {
  const format = findFormat(path);
  // Absolute, so that worker threads find the file wherever they run.
  if (format !== undefined) return FORMATS[format].open(resolve(path), path);
  const known = NAMES.map((name) => FORMATS[name].extensions.join(" or "));
  throw new UnsupportedError("UNSUPPORTED_FORMAT", `expected a weights file (${known.join(", ")})`, {
    file: path,
    hint: "a model or an adapter in several files is named by its folder",
  });
}

/** The format that a file's name announces, else the one that its first bytes show. */
export function findFormat(path: string): FormatName | undefined {
  return formatOf(path) ?? formatInside(path);
}

function formatInside(path: string): FormatName | undefined {
  if (PICKLE_NAME.test(path)) {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "pickle files are never opened, expected safetensors", {
      file: path,
      hint: "pickle files can run code: save the weights as safetensors where the model was made",
    });
  }
  const start = withFile(path, (file) => readStart(accessTo(file, path)));
  const format = NAMES.find((name) => FORMATS[name].detect(start));
  if (format === undefined) assertNotLookAlike(start, path);
  return format;
}
