/**
 * What must be known of a base model to place an adapter in it, from config.json and the names and shapes of its tensors.
 */

import type { Model } from "../../formats/model.ts";
import { type Conv1dFacts, conv1dFacts } from "./conv1d.ts";
import { modelTypes } from "./model-types.ts";
import { type Rename, renamesFor } from "./renames.ts";
import { type EmbeddingEnds, embeddingEnds, type TiedEmbedding, tiedEmbedding } from "./tied-embedding.ts";
import { type Tie, tiesOf } from "./ties.ts";

export type { EmbeddingEnds, TiedEmbedding } from "./tied-embedding.ts";
export type { Tie } from "./ties.ts";

export interface Architecture {
  /** `model_type`s of config.json and its parts; empty when there is no config. */
  readonly types: ReadonlySet<string>;
  readonly ends: EmbeddingEnds;
  readonly tie: TiedEmbedding | undefined;
  /** Tensors with several names. */
  readonly ties: readonly Tie[];
  /** From the names on disk to those of the running model. */
  readonly renames: readonly Rename[];
  readonly conv1d: Conv1dFacts;
}

/** Whether the tensor has a row for each token: either end of the embedding, or the bias of the head. */
export function isVocabulary(tensor: string, { ends, ties }: Pick<Architecture, "ends" | "ties">): boolean {
  return [ends.input, ends.output, ...ends.outputBiases, ...ties.flatMap((tie) => tie.ends)].includes(tensor);
}

/** Headers only, but for two ends of a tied embedding that are both stored: those are compared. */
export function describeArchitecture(model: Model): Architecture {
  const types = modelTypes(model.config);
  const ends = embeddingEnds(model, types);
  const tie = tiedEmbedding(model, types, ends);
  return {
    types,
    ends,
    tie,
    ties: tiesOf(model, types, ends, tie),
    renames: renamesFor(types),
    conv1d: conv1dFacts(types, model.store.tensors),
  };
}
