/**
 * The containers that weights can lie in, and how a file is recognised as one.
 */

import { UnsupportedError } from "../core/errors.ts";
import { openSafetensors } from "./safetensors/reader.ts";
import type { TensorStore } from "./tensor-store.ts";

interface Format {
  /** Ends of file names, lower case. */
  readonly extensions: readonly string[];
  readonly open: (path: string) => TensorStore;
}

export const FORMATS = {
  safetensors: { extensions: [".safetensors"], open: openSafetensors },
} as const satisfies Record<string, Format>;

export type FormatName = keyof typeof FORMATS;

/** The format that a file's name announces. */
export function formatOf(path: string): FormatName | undefined {
  const name = path.toLowerCase();
  return (Object.keys(FORMATS) as FormatName[]).find((format) =>
    FORMATS[format].extensions.some((extension) => name.endsWith(extension)),
  );
}

/**
 * Opens one weights file by the format that its name announces.
 *
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT for a name that announces none
 */
export function openStore(path: string): TensorStore {
  const format = formatOf(path);
  if (format !== undefined) return FORMATS[format].open(path);
  const known = Object.values(FORMATS).flatMap(({ extensions }) => extensions);
  throw new UnsupportedError("UNSUPPORTED_FORMAT", `expected a name that ends in ${known.join(" or ")}`, {
    file: path,
    hint: "pickle files (.bin, .pt, .ckpt) are never opened: save the weights as safetensors",
  });
}
