/**
 * The model of a tokenizer.json, checked before the library sees it: what it would take without a word and turn into wrong or
 * missing ids is refused here.
 *
 * BPE, Unigram and WordLevel, the models of causal language models (tokenizers 0.23, src/models).
 */

import type { JsonValue } from "../../../core/json.ts";
import { quote } from "../../../core/text.ts";
import type { Component } from "./component.ts";

const MODELS = ["BPE", "Unigram", "WordLevel"] as const;

export interface CheckedModel {
  readonly type: (typeof MODELS)[number];
  /** Ids of the model's tokens and of the added ones. */
  readonly ids: ReadonlyMap<string, number>;
  /** Of the model's vocabulary; −1 when it is empty. */
  readonly highestId: number;
  /** Ids of added tokens that are marked as special. */
  readonly special: ReadonlySet<number>;
  /** The token for text that has none. */
  readonly unknown: string | undefined;
  /** Unigram only: unknown text is spelt in byte tokens. */
  readonly byteFallback: boolean;
}

/** Of ids: a table of them is an array that is as long as the highest. Real: 262,144. */
const MAX_IDS = 2 ** 24;

/**
 * @throws {FormatError} INVALID_CONFIG
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT
 */
export function checkModel(tokenizer: Component): CheckedModel {
  const model = tokenizer.child("model");
  const type = model.has("type") ? model.type(MODELS) : guessType(model);
  const ids = type === "Unigram" ? idsOfPieces(model) : idsOfVocabulary(model);
  if (type === "BPE") checkBytePairs(model, ids);
  const unknown = unknownOf(model, type, ids);
  let highestId = -1;
  for (const id of ids.values()) highestId = Math.max(highestId, id);
  const special = addTokens(tokenizer, ids);
  return {
    type,
    ids,
    highestId,
    special,
    unknown,
    byteFallback: type === "Unigram" && model.flag("byte_fallback", false),
  };
}

/** Files of old versions do not name their model. */
function guessType(model: Component): CheckedModel["type"] {
  if (model.has("merges")) return "BPE";
  if (Array.isArray(model.values.get("vocab"))) return "Unigram";
  if (model.has("continuing_subword_prefix")) throw model.unsupported("type WordPiece is not supported");
  return "WordLevel";
}

function idsOfVocabulary(model: Component): Map<string, number> {
  const vocabulary = model.child("vocab");
  const ids = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const token of vocabulary.values.keys()) {
    const id = vocabulary.count(token, 0);
    claim(vocabulary, token, id, owners);
    ids.set(token, id);
  }
  return ids;
}

function claim(place: Component, token: string, id: number, owners: Map<number, string>): void {
  if (id >= MAX_IDS) throw place.invalid(`an id below ${MAX_IDS}`, id, token);
  const owner = owners.get(id);
  if (owner !== undefined && owner !== token)
    throw place.invalid(`an id of its own, not that of ${quote(owner)}`, id, token);
  owners.set(id, token);
}

/** Unigram has a list of [piece, score]; the id is the place in it. */
function idsOfPieces(model: Component): Map<string, number> {
  const ids = new Map<string, number>();
  for (const [index, entry] of model.list("vocab").entries()) {
    const [piece, score] = Array.isArray(entry) ? (entry as readonly JsonValue[]) : [];
    if (typeof piece !== "string" || typeof score !== "number") {
      throw model.invalid("a piece and its score", entry, `vocab.${index}`);
    }
    if (ids.has(piece)) throw model.invalid("each piece once", piece, `vocab.${index}`);
    ids.set(piece, index);
  }
  return ids;
}

function checkBytePairs(model: Component, ids: ReadonlyMap<string, number>): void {
  if (model.has("dropout") && model.values.get("dropout") !== 0) {
    throw model.unsupported("merges that are dropped at random are not supported", "dropout");
  }
  if (model.has("continuing_subword_prefix") && model.text("continuing_subword_prefix") !== "") {
    throw model.unsupported("marks inside of words are not supported", "continuing_subword_prefix");
  }
  for (const [index, merge] of model.list("merges").entries()) {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? (pair as readonly JsonValue[]) : [];
    const place = `merges.${index}`;
    if (typeof left !== "string" || typeof right !== "string") throw model.invalid("two tokens", merge, place);
    for (const token of [left, right, left + right]) {
      if (!ids.has(token)) throw model.invalid("tokens of the vocabulary", token, place);
    }
  }
}

/** Adds those of `added_tokens`, which may stand in the model's vocabulary too; returns the ids of the special ones. */
function addTokens(tokenizer: Component, ids: Map<string, number>): Set<number> {
  const special = new Set<number>();
  const owners = new Map(Array.from(ids, ([token, id]) => [id, token]));
  for (const added of tokenizer.children("added_tokens")) {
    const content = added.text("content");
    const id = added.count("id", 0);
    if (content === "") throw added.invalid("a text that is not empty", content, "content");
    if (added.flag("single_word", false))
      throw added.unsupported("tokens that match whole words only are not supported");
    const known = ids.get(content);
    if (known !== undefined && known !== id) throw added.invalid(`id ${known}, as in the vocabulary`, id, "id");
    claim(added, content, id, owners);
    ids.set(content, id);
    if (added.flag("special", false)) special.add(id);
  }
  return special;
}

/** Absent where the file names none, or one that is no token, as GPT-2's empty text. */
function unknownOf(model: Component, type: CheckedModel["type"], ids: Map<string, number>): string | undefined {
  const key = type === "Unigram" ? "unk_id" : "unk_token";
  if (!model.has(key)) return undefined;
  if (type !== "Unigram") return ids.has(model.text(key)) ? model.text(key) : undefined;
  const index = model.count(key, 0);
  const piece = [...ids.keys()][index];
  if (piece === undefined) throw model.invalid("a place in the vocabulary", index, key);
  return piece;
}
