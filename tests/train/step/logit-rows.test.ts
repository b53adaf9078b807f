/** The positions of a batch that get logits. */

import { describe, expect, it } from "vitest";
import type { Batch } from "../../../src/train/data/batch.ts";
import { makeBatch } from "../../../src/train/data/make-batch.ts";
import { countLogitRows, listLogitRows } from "../../../src/train/step/logit-rows.ts";

/** A row of `length` tokens of which the last `scored` are. */
function batchOf(...rows: readonly { readonly length: number; readonly scored: number }[]): Batch {
  const packs = rows.map(({ length, scored }) => {
    const tokens = Int32Array.from({ length }, (_, index) => index + 1);
    return [{ tokens, labels: tokens.map((token, index) => (index < length - scored ? -100 : token)) }];
  });
  return makeBatch(packs, 8);
}

describe("rows of logits", () => {
  it.each([
    [[0], 2],
    [[1], 2],
    [[2], 2],
    [[3], 4],
    [[7], 8],
    [[2, 3], 8],
    [[7, 7], 16],
  ])("are as many quarters of a batch as its scored labels take: %j of 8 each", (scored, count) => {
    expect(countLogitRows(batchOf(...scored.map((scored) => ({ length: 8, scored }))))).toBe(count);
  });

  it("are the scored positions in their order, then others until there are enough", () => {
    // Position i predicts label i + 1.
    const batch = batchOf({ length: 6, scored: 2 }, { length: 8, scored: 3 });
    const list = listLogitRows(batch, countLogitRows(batch));
    expect([...list]).toEqual([3, 4, 12, 13, 14, 0, 1, 2].map(BigInt));
  });

  it("are never more than there are, where quarters do not come out even", () => {
    const batch = makeBatch([[{ tokens: Int32Array.of(1, 2, 3), labels: Int32Array.of(1, 2, 3) }]], 3);
    expect(countLogitRows(batch)).toBe(2);
    expect(countLogitRows({ rows: 1, length: 5, scored: 5 })).toBe(5);
  });
});
