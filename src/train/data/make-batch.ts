/**
 * Rows → the arrays of one micro-batch: padded on the right, labels shifted, each row of a pack a segment of its own.
 */

import { NOT_SCORED } from "../../graph/cross-entropy.ts";
import type { Batch, Sequence } from "./batch.ts";

/**
 * @param packs the rows of each sequence of the batch: one, or several that are packed
 * @param length tokens of each sequence with its padding
 */
export function makeBatch(packs: readonly (readonly Sequence[])[], length: number): Batch {
  const size = packs.length * length;
  const inputIds = new BigInt64Array(size);
  const positionIds = new BigInt64Array(size);
  const segmentIds = new BigInt64Array(size);
  const labels = new BigInt64Array(size).fill(BigInt(NOT_SCORED));
  let [scored, count] = [0, 0];
  packs.forEach((rows, pack) => {
    let start = pack * length;
    rows.forEach(({ tokens, labels: own }, segment) => {
      for (let index = 0; index < tokens.length; index++) {
        inputIds[start + index] = BigInt(tokens[index] ?? 0);
        positionIds[start + index] = BigInt(index);
        segmentIds[start + index] = BigInt(segment + 1);
        // The last position of a row predicts nothing: what follows belongs to another row.
        const next = index + 1 < tokens.length ? (own[index + 1] ?? NOT_SCORED) : NOT_SCORED;
        labels[start + index] = BigInt(next);
        if (next !== NOT_SCORED) scored++;
      }
      start += tokens.length;
      count += tokens.length;
    });
  });
  return { rows: packs.length, length, inputIds, positionIds, segmentIds, labels, scored, tokens: count };
}
