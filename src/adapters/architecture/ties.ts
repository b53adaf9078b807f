/**
 * Tensors that a model has under several names and stores under one: both ends of a tied embedding, the embeddings of
 * encoder and decoder that share `shared`, and the bias of BERT's head (`_tied_weights_keys` of transformers 5.23).
 *
 * An adapter may name any of them. Where their numbers part, every name must be stored: transformers starts what it does
 * not find at random, once config.json says that nothing is tied.
 */

import type { Model } from "../../formats/model.ts";
import { sameNumbers } from "../same-numbers.ts";
import { type EmbeddingEnds, namesBiasTwice, type TiedEmbedding } from "./tied-embedding.ts";

/** One tensor of a model and all of its names. */
export interface Tie extends Pick<TiedEmbedding, "isApart" | "isTurned"> {
  readonly of: "embedding" | "bias";
  /** Stored or not. */
  readonly ends: readonly string[];
  /** Of these the names that stand for all: what an adapter does to one of them alone is meant for every use. */
  readonly common: readonly string[];
}

export function tiesOf(
  model: Model,
  types: ReadonlySet<string>,
  ends: EmbeddingEnds,
  tie: TiedEmbedding | undefined,
): readonly Tie[] {
  const ties = [embeddingTie(model, ends, tie), biasTie(model, types, ends)];
  return ties.filter((found) => found !== undefined);
}

function embeddingTie(model: Model, ends: EmbeddingEnds, tie: TiedEmbedding | undefined): Tie | undefined {
  const input = tie?.input ?? ends.input;
  const shared = input === undefined || model.graph !== undefined ? [] : sharedNames(input, model);
  if (input === undefined || (tie === undefined && shared.length === 0)) return undefined;
  const { isApart = false, isTurned = false } = tie ?? {};
  return {
    of: "embedding",
    isApart,
    isTurned,
    ends: [input, ...shared, ...(tie === undefined ? [] : [tie.output])],
    common: shared.length === 0 ? [] : [input],
  };
}

/** The embeddings of the encoder and of the decoder that are `shared`. */
function sharedNames(input: string, model: Model): string[] {
  const match = /^(.*\.)?shared\.weight$/.exec(input);
  if (match === null) return [];
  const [, wrapper = ""] = match;
  const names = [...model.store.tensors.keys()];
  return SIDES.map((side) => `${wrapper}${side}.`)
    .filter((side) => names.some((name) => name.startsWith(side)))
    .map((side) => `${side}embed_tokens.weight`)
    .filter((name) => isSame(input, name, model));
}

/** Seamless M4T has sides for text and for speech. */
const SIDES = ["encoder", "decoder", "text_encoder", "text_decoder"];

/** The head's linear layer takes its bias from the module around it. */
function biasTie(model: Model, types: ReadonlySet<string>, { output, outputBiases }: EmbeddingEnds): Tie | undefined {
  const [inner = "", outer = ""] = outputBiases;
  if (model.graph !== undefined || !namesBiasTwice(output, types) || !model.store.tensors.has(outer)) return undefined;
  const both = [outer, inner];
  return isSame(outer, inner, model) ? { of: "bias", ends: both, common: both } : undefined;
}

/** Whether a name is not stored, or with the numbers of the other. */
function isSame(stored: string, name: string, { store: { tensors } }: Model): boolean {
  const [first, second] = [tensors.get(stored), tensors.get(name)];
  return first === undefined || second === undefined || sameNumbers(first, second);
}
