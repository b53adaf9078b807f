/**
 * Rows on their way between processes: the tokens of many in one block, and how to take it apart again.
 */

import type { Sequence } from "./batch.ts";

export interface RowGroup {
  /** Tokens of each row, and its labels behind them where they are not the tokens themselves. */
  readonly block: Int32Array;
  /** Tokens of each row; negative for rows with labels of their own. */
  readonly lengths: Int32Array;
}

export function packRowGroup(rows: readonly Sequence[]): RowGroup {
  const block = new Int32Array(rows.reduce((sum, row) => sum + storedTokens(row), 0));
  let end = 0;
  for (const { tokens, labels } of rows) {
    block.set(tokens, end);
    end += tokens.length;
    if (labels === tokens) continue;
    block.set(labels, end);
    end += labels.length;
  }
  const lengths = Int32Array.from(rows, ({ tokens, labels }) => (labels === tokens ? tokens.length : -tokens.length));
  return { block, lengths };
}

/** The rows as views of the block. */
export function unpackRowGroup({ block, lengths }: RowGroup): Sequence[] {
  let end = 0;
  const next = (length: number) => {
    end += length;
    return block.subarray(end - length, end);
  };
  return Array.from(lengths, (length) => {
    const tokens = next(Math.abs(length));
    return { tokens, labels: length < 0 ? next(-length) : tokens };
  });
}

/** Numbers that a row takes in a block. */
export function storedTokens({ tokens, labels }: Sequence): number {
  return labels === tokens ? tokens.length : 2 * tokens.length;
}
