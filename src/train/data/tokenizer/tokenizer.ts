/**
 * Text → token ids, by the tokenizer.json that lies beside a model.
 *
 * @huggingface/tokenizers does the work, on components that were checked and rewritten so that it does what Rust's
 * `tokenizers` do (`splits.ts`, `normalisers.ts`). Special tokens around a text are the caller's business (`ends`).
 */

import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { FormatError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { quote } from "../../../core/text.ts";
import { type CheckedModel, checkModel } from "./check-model.ts";
import { Component, toPlain } from "./component.ts";
import { type Ends, readEnds } from "./ends.ts";
import { rewriteNormaliser } from "./normalisers.ts";
import { escapeRegex, type LibraryComponent, rewritePreTokenizer } from "./splits.ts";
import { MAX_PIECE, StreamEncoder } from "./stream-encoder.ts";

/** The library has no id for what is neither a token nor covered by one for unknown text. */
interface LibraryEncoding {
  readonly ids: readonly (number | undefined)[];
  readonly tokens: readonly string[];
}

export class Tokenizer {
  readonly ends: Ends;
  readonly #library: LibraryTokenizer;
  readonly #model: CheckedModel;
  readonly #file: string;

  /**
   * @param values content of tokenizer.json
   * @throws {FormatError} INVALID_CONFIG
   * @throws {UnsupportedError} UNSUPPORTED_FORMAT
   */
  constructor(values: JsonObject, file: string) {
    const root = new Component(values, "", file);
    this.#file = file;
    this.#model = checkModel(root);
    this.#library = openLibrary(root, this.#model);
    this.ends = readEnds(values.get("post_processor") ?? null, file);
  }

  /** The highest id of the model's vocabulary; added tokens may have higher ones. */
  get highestId(): number {
    return this.#model.highestId;
  }

  /** How many ids there are, added tokens included. */
  get size(): number {
    return this.#model.ids.size;
  }

  idOf(token: string): number | undefined {
    return this.#model.ids.get(token);
  }

  /** Whether the id is that of an added token which is marked as special. */
  isSpecial(id: number): boolean {
    return this.#model.special.has(id);
  }

  /**
   * Ids of a text of any length, without special tokens around it; those that are spelt out in the text become tokens.
   *
   * @throws {FormatError} INVALID_CONFIG for text that has no tokens
   */
  encode(text: string): readonly number[] {
    if (text.length <= MAX_PIECE) return this.#encodePiece(text);
    const stream = this.openStream();
    return [...stream.push(text), ...stream.end()].flat();
  }

  /** For a text that comes in pieces. */
  openStream(): StreamEncoder {
    return new StreamEncoder((text) => this.#encodePiece(text));
  }

  /** The text of some ids, special tokens included. */
  decode(ids: readonly number[]): string {
    return ids.length === 0 ? "" : this.#library.decode([...ids], { clean_up_tokenization_spaces: false });
  }

  #encodePiece(text: string): number[] {
    const encoding: LibraryEncoding = this.#library.encode(text, { add_special_tokens: false });
    const { ids, tokens } = encoding;
    if (this.#model.byteFallback) return tokens.flatMap((token) => this.#spell(token));
    const missing = ids.indexOf(undefined);
    if (missing >= 0) throw this.#noToken(tokens[missing] ?? "");
    return ids as number[];
  }

  /** A Unigram piece, or its bytes where it is none; the library knows that of BPE only. */
  #spell(token: string): readonly number[] {
    const { ids, unknown } = this.#model;
    const id = ids.get(token);
    if (id !== undefined) return [id];
    const bytes = Array.from(new TextEncoder().encode(token), (byte) => ids.get(byteToken(byte)));
    if (!bytes.includes(undefined)) return bytes as number[];
    const fallback = unknown === undefined ? undefined : ids.get(unknown);
    if (fallback === undefined) throw this.#noToken(token);
    return [fallback];
  }

  #noToken(text: string): FormatError {
    const problem = `there is no token for ${quote(text)}, and none for unknown text`;
    return new FormatError("INVALID_CONFIG", problem, { file: this.#file });
  }
}

/** `<0x0A>` */
function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

function openLibrary(root: Component, checked: CheckedModel): LibraryTokenizer {
  const { values, file } = root;
  const { type, unknown } = checked;
  const cuts = [rewritePreTokenizer(values.get("pre_tokenizer") ?? null, file), cutBetweenWords(root, checked)];
  const components = {
    added_tokens: root.list("added_tokens").map(toPlain),
    model: { ...(toPlain(root.child("model").values) as object), type },
    normalizer: rewriteNormaliser(values.get("normalizer") ?? null, file),
    pre_tokenizer: { type: "Sequence", pretokenizers: cuts.filter((cut) => cut !== null) },
    post_processor: null,
    decoder: toPlain(values.get("decoder") ?? null),
  };
  try {
    // Word level has no name in the library: it is what has a vocabulary and nothing else.
    return new LibraryTokenizer(components, { unk_token: unknown ?? null });
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError("INVALID_CONFIG", `the tokenizer cannot be built: ${quote(problem)}`, { file, cause });
  }
}

/** Characters that some token has in front of a word's start; more than these, and cutting gains little. */
const MAX_JOINED = 40;

/**
 * SentencePiece's models have no pre-tokenizer: a whole text is one word, and none is met twice. No merge reaches over a word's
 * start where no token does, so words may be taken one by one; the tokens are the same, and the library remembers those of
 * words. Where some tokens do (Gemma's `>▁</`), words stay together behind the characters that these have.
 */
function cutBetweenWords(root: Component, { type, ids }: CheckedModel): LibraryComponent | null {
  const model = root.child("model");
  const marks = ["end_of_word_suffix", "ignore_merges"].some((key) => Boolean(model.values.get(key)));
  if (type !== "BPE" || marks || !ids.has("▁")) return null;
  const joined = new Set<string>();
  for (const token of ids.keys()) for (const [character] of token.matchAll(/[^▁](?=▁)/gu)) joined.add(character);
  if (joined.size > MAX_JOINED) return null;
  const stays = Array.from(joined, (character) => `(?<=${escapeRegex(character)}▁*)▁|`).join("");
  return { type: "Split", pattern: { Regex: `▁*(?:${stays}[^▁])+|▁+` }, behavior: "Isolated", invert: false };
}
