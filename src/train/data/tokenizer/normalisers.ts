/**
 * Normalisers of a tokenizer.json → those of @huggingface/tokenizers that change a text the same way.
 */

import type { JsonValue } from "../../../core/json.ts";
import { Component, toPlain } from "./component.ts";
import { type LibraryComponent, patternOf } from "./splits.ts";

const NORMALISERS = [
  "Lowercase",
  "NFC",
  "NFD",
  "NFKC",
  "NFKD",
  "Nmt",
  "Prepend",
  "Replace",
  "Sequence",
  "Strip",
  "StripAccents",
] as const;

/**
 * What the library is given for `normalizer`.
 *
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT for one that it cannot do: SentencePiece's compiled tables, of which it only
 *   has an approximation, and BERT's
 * @throws {FormatError} INVALID_CONFIG
 */
export function rewriteNormaliser(value: JsonValue, file: string): LibraryComponent | null {
  return value === null ? null : rewrite(new Component(value, "normalizer", file));
}

function rewrite(config: Component): LibraryComponent {
  return REWRITES[config.type(NORMALISERS)](config);
}

const asItIs = ({ values }: Component) => toPlain(values) as LibraryComponent;

const REWRITES: Record<(typeof NORMALISERS)[number], (config: Component) => LibraryComponent> = {
  // Rust takes each character on its own: a capital sigma at a word's end becomes no final one.
  Lowercase: () => sequence([replace("Σ", "σ"), { type: "Lowercase" }]),
  NFC: asItIs,
  NFD: asItIs,
  NFKC: asItIs,
  NFKD: asItIs,
  // SentencePiece's rule of the same name: controls go, separators and invisible characters become spaces.
  Nmt: () =>
    sequence([
      replace("[\\x01-\\x08\\x0B\\x0E-\\x1F\\x7F\\u008F\\u009F]", ""),
      replace("[\\t\\n\\f\\r\\u1680\\u200B-\\u200F\\u2028\\u2029\\u2581\\uFEFF\\uFFFD]", " "),
    ]),
  Prepend: (config) => ({ type: "Prepend", prepend: config.text("prepend") }),
  Replace: (config) => replace(patternOf(config), config.text("content")),
  Sequence: (config) => sequence(config.children("normalizers").map(rewrite)),
  Strip: (config) =>
    sequence([
      ...(config.flag("strip_left", true) ? [replace("\\A\\p{White_Space}+", "")] : []),
      ...(config.flag("strip_right", true) ? [replace("\\p{White_Space}+\\z", "")] : []),
    ]),
  StripAccents: asItIs,
};

function replace(regex: string, content: string): LibraryComponent {
  // The library hands the content to `replaceAll`, where a dollar sign starts a reference.
  return { type: "Replace", pattern: { Regex: regex }, content: content.replaceAll("$", "$$$$") };
}

function sequence(normalizers: readonly LibraryComponent[]): LibraryComponent {
  return { type: "Sequence", normalizers };
}
