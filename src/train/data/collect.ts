/**
 * Rows as they come → rows that can be learned from: cut at the longest length, those without a scored token left out, all of it
 * counted.
 */

import { NOT_SCORED } from "../../graph/cross-entropy.ts";
import type { Sequence } from "./batch.ts";
import { REMARKS, type Remark } from "./encode-row.ts";

export interface DataCounts {
  /** Rows of the file, or pieces of a text. */
  readonly rows: number;
  /** Rows that are learned from. */
  readonly kept: number;
  /** Rows without a scored token: a prompt that fills the length, a single token. */
  readonly dropped: number;
  /** Rows that were cut at the longest length, dropped ones included. */
  readonly truncated: number;
  /** Of the rows that are kept, in all. */
  readonly tokens: number;
  /** Tokens that are predicted and scored. */
  readonly scored: number;
  /** Tokens of the longest and the shortest row that is kept; 0 where none is. */
  readonly longest: number;
  readonly shortest: number;
}

export class RowCollector {
  readonly #maxLength: number;
  readonly #remarks = new Map<Remark, number>(REMARKS.map((remark) => [remark, 0]));
  #counts: DataCounts = { rows: 0, kept: 0, dropped: 0, truncated: 0, tokens: 0, scored: 0, longest: 0, shortest: 0 };

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  get counts(): DataCounts {
    return this.#counts;
  }

  /** How many rows a remark was made of. */
  countOf(remark: Remark): number {
    return this.#remarks.get(remark) ?? 0;
  }

  /** The row as it is learned from; nothing where it teaches nothing. */
  add({ tokens, labels }: Sequence, remarks: ReadonlySet<Remark>): Sequence | undefined {
    const counts = this.#counts;
    const isLong = tokens.length > this.#maxLength;
    for (const remark of remarks) this.#remarks.set(remark, this.countOf(remark) + 1);
    const cut = tokens.subarray(0, this.#maxLength);
    // Rows that are scored throughout have one array for both, which crosses to the main thread once.
    const row = { tokens: cut, labels: labels === tokens ? cut : labels.subarray(0, this.#maxLength) };
    const scored = countScored(row.labels);
    const { length } = row.tokens;
    this.#counts = {
      rows: counts.rows + 1,
      kept: counts.kept + (scored > 0 ? 1 : 0),
      dropped: counts.dropped + (scored > 0 ? 0 : 1),
      truncated: counts.truncated + (isLong ? 1 : 0),
      tokens: counts.tokens + (scored > 0 ? length : 0),
      scored: counts.scored + scored,
      longest: scored > 0 ? Math.max(counts.longest, length) : counts.longest,
      shortest: scored > 0 && (counts.kept === 0 || length < counts.shortest) ? length : counts.shortest,
    };
    return scored > 0 ? row : undefined;
  }
}

/** The first token is predicted from nothing, so its label does not count. */
function countScored(labels: Int32Array): number {
  let scored = 0;
  for (let index = 1; index < labels.length; index++) if (labels[index] !== NOT_SCORED) scored++;
  return scored;
}
