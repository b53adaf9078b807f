/**
 * Pre-tokenizers of a tokenizer.json → those of @huggingface/tokenizers that cut the same way.
 *
 * The library follows Rust's `tokenizers` where today's language models need it and departs from it elsewhere: it knows two of
 * five ways to treat a delimiter, keeps runs of punctuation together, and takes `\w` and `\d` for ASCII. All of that can be
 * said as a Split over a regular expression, which it cuts right (tokenizers 0.23, src/pre_tokenizers).
 */

import type { JsonValue } from "../../../core/json.ts";
import { Component, toPlain } from "./component.ts";

/** What the library takes. */
export interface LibraryComponent {
  readonly type: string;
  readonly [field: string]: unknown;
}

const PRE_TOKENIZERS = [
  "BertPreTokenizer",
  "ByteLevel",
  "CharDelimiterSplit",
  "Digits",
  "FixedLength",
  "Metaspace",
  "Punctuation",
  "Sequence",
  "Split",
  "Whitespace",
  "WhitespaceSplit",
] as const;

const BEHAVIOURS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;

type Behaviour = (typeof BEHAVIOURS)[number];

/** `char::is_numeric` of Rust. */
const NUMBER = "\\p{N}";
const SPACE = "\\p{White_Space}";
/** `\w` of Rust's regex crate. */
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D";
/** Unicode's punctuation, and ASCII's, which counts symbols. */
const PUNCTUATION = "[\\p{P}\\x21-\\x2F\\x3A-\\x40\\x5B-\\x60\\x7B-\\x7E]";

/**
 * What the library is given for `pre_tokenizer`.
 *
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT for one that it cannot do
 * @throws {FormatError} INVALID_CONFIG
 */
export function rewritePreTokenizer(value: JsonValue, file: string): LibraryComponent | null {
  return value === null ? null : rewrite(new Component(value, "pre_tokenizer", file));
}

function rewrite(config: Component): LibraryComponent {
  return REWRITES[config.type(PRE_TOKENIZERS)](config);
}

const REWRITES: Record<(typeof PRE_TOKENIZERS)[number], (config: Component) => LibraryComponent> = {
  BertPreTokenizer: () => sequence([split(SPACE, "Removed"), split(PUNCTUATION, "Isolated")]),
  ByteLevel: ({ values }) => toPlain(values) as LibraryComponent,
  CharDelimiterSplit: (config) => split(escapeRegex(config.text("delimiter")), "Removed"),
  Digits: (config) => split(NUMBER, config.flag("individual_digits", false) ? "Isolated" : "Contiguous"),
  FixedLength: (config) => split(`[\\s\\S]{1,${config.count("length", 1, 5)}}`, "Isolated"),
  Metaspace: (config) => {
    const replacement = config.text("replacement", "▁");
    // Files from before `prepend_scheme` have `add_prefix_space`.
    const scheme = config.text("prepend_scheme", config.flag("add_prefix_space", true) ? "always" : "never");
    const metaspace = { type: "Metaspace", replacement, prepend_scheme: scheme };
    if (!config.flag("split", true)) return metaspace;
    return sequence([metaspace, split(escapeRegex(replacement), "MergedWithNext")]);
  },
  Punctuation: (config) => split(PUNCTUATION, behaviourOf(config, "Isolated")),
  Sequence: (config) => sequence(config.children("pretokenizers").map(rewrite)),
  Split: (config) => {
    const behaviour = behaviourOf(config);
    const pattern = patternOf(config);
    if (!config.flag("invert", false)) return split(pattern, behaviour);
    // What is between the matches is the delimiter. Cut out on their own, delimiters and the rest look the same.
    if (behaviour === "Isolated") return split(pattern, "Isolated");
    if (behaviour === "Removed") return keep(pattern);
    throw config.unsupported(`behavior ${behaviour} together with invert is not supported`);
  },
  Whitespace: () => keep(`[${WORD}]+|[^${WORD}${SPACE}]+`),
  WhitespaceSplit: () => split(SPACE, "Removed"),
};

function behaviourOf(config: Component, fallback?: Behaviour): Behaviour {
  const name = config.text("behavior", fallback);
  const behaviour = BEHAVIOURS.find((candidate) => candidate === name);
  if (behaviour === undefined) throw config.invalid(BEHAVIOURS.join(", "), name, "behavior");
  return behaviour;
}

/** The regular expression of a `pattern`, which is `{"String": …}` or `{"Regex": …}`. */
export function patternOf(config: Component): string {
  const pattern = config.child("pattern");
  return pattern.has("Regex") ? pattern.text("Regex") : escapeRegex(pattern.text("String"));
}

/** Pieces cut at a delimiter, by what becomes of it. */
function split(delimiter: string, behaviour: Behaviour): LibraryComponent {
  const one = `(?:${delimiter})`;
  switch (behaviour) {
    case "Isolated":
      return { type: "Split", pattern: { Regex: delimiter }, behavior: "Isolated", invert: false };
    case "Removed":
      return { type: "Split", pattern: { Regex: withoutCaptures(delimiter) }, behavior: "Removed", invert: false };
    case "MergedWithPrevious":
      return split(`[\\s\\S]*?${one}`, "Isolated");
    case "MergedWithNext":
      return split(`${one}(?:(?!${one})[\\s\\S])*`, "Isolated");
    case "Contiguous":
      return split(`${one}+`, "Isolated");
  }
}

/** Groups that capture made plain: `String.split`, which the library uses, would hand out what they hold. */
function withoutCaptures(regex: string): string {
  const tokens = /\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]|\((?!\?)|\(\?<(?![=!])[^>]*>/g;
  return regex.replace(tokens, (token) => (token.startsWith("(") ? "(?:" : token));
}

/** The matches of a regular expression, without what is between them. */
function keep(regex: string): LibraryComponent {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Removed", invert: true };
}

function sequence(pretokenizers: readonly LibraryComponent[]): LibraryComponent {
  return { type: "Sequence", pretokenizers };
}

/** Text that matches itself, in the dialect of Oniguruma. */
export function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/&~-]/g, "\\$&");
}
