import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NOT_SCORED } from "../../../src/graph/cross-entropy.ts";
import type { Batch, Sequence } from "../../../src/train/data/batch.ts";
import { Batches } from "../../../src/train/data/batches.ts";
import { lengthBuckets } from "../../../src/train/data/buckets.ts";
import { makeBatch } from "../../../src/train/data/make-batch.ts";
import { packRows } from "../../../src/train/data/pack.ts";
import { shuffledOrder } from "../../../src/train/data/shuffle.ts";

/** A row whose tokens tell where they come from, the first `masked` not scored. */
function row(number: number, length: number, masked = 0): Sequence {
  const tokens = Int32Array.from({ length }, (_, index) => 1000 * number + index);
  return { tokens, labels: tokens.map((token, index) => (index < masked ? NOT_SCORED : token)) };
}

const numbers = (values: BigInt64Array) => Array.from(values, Number);
const rowsIn = (batch: Batch) => [...new Set(numbers(batch.inputIds).map((token) => Math.floor(token / 1000)))];

describe("a batch", () => {
  test("is padded on the right and predicts, at each position, the token that follows", () => {
    const batch = makeBatch([[row(1, 3)], [row(2, 2, 2)]], 4);
    expect(numbers(batch.inputIds)).toEqual([1000, 1001, 1002, 0, 2000, 2001, 0, 0]);
    expect(numbers(batch.positionIds)).toEqual([0, 1, 2, 0, 0, 1, 0, 0]);
    expect(numbers(batch.segmentIds)).toEqual([1, 1, 1, 0, 1, 1, 0, 0]);
    expect(numbers(batch.labels)).toEqual([1001, 1002, -100, -100, -100, -100, -100, -100]);
    expect(batch).toMatchObject({ rows: 2, length: 4, scored: 2, tokens: 5 });
  });

  test("keeps packed rows apart: positions start again, and no row's first token is predicted", () => {
    const batch = makeBatch([[row(1, 2), row(2, 3, 1)]], 6);
    expect(numbers(batch.positionIds)).toEqual([0, 1, 0, 1, 2, 0]);
    expect(numbers(batch.segmentIds)).toEqual([1, 1, 2, 2, 2, 0]);
    expect(numbers(batch.labels)).toEqual([1001, -100, 2001, 2002, -100, -100]);
    expect(batch.scored).toBe(3);
  });

  test("scores the same tokens packed as not", () => {
    const length = fc.integer({ min: 2, max: 12 });
    fc.assert(
      fc.property(fc.array(length, { minLength: 1, maxLength: 20 }), (lengths) => {
        const sequences = lengths.map((tokens, index) => row(index + 1, tokens, tokens % 3));
        const pairs = (packTo: number | undefined) => {
          const batches = new Batches(sequences, { batchSize: 3, seed: 1, shuffle: true, packTo });
          const all = Array.from({ length: batches.perEpoch }, (_, index) => batches.batch(0, index));
          return all.flatMap(({ inputIds, positionIds, labels }) =>
            numbers(labels).flatMap((label, at) =>
              label === NOT_SCORED ? [] : [`${inputIds[at]} at ${positionIds[at]} predicts ${label}`],
            ),
          );
        };
        expect(pairs(12).sort()).toEqual(pairs(undefined).sort());
      }),
    );
  });
});

describe("the batches of an epoch", () => {
  const sequences = Array.from({ length: 10 }, (_, index) => row(index + 1, 2 + (index % 5)));

  test("without shuffling take row after row, the last what is left", () => {
    const batches = new Batches(sequences, { batchSize: 4, seed: 7, shuffle: false });
    expect(batches.perEpoch).toBe(3);
    expect([0, 1, 2].map((index) => rowsIn(batches.batch(0, index)).filter((number) => number > 0))).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10],
    ]);
    expect(batches.batch(5, 1)).toEqual(batches.batch(0, 1));
  });

  test("are the same in any order of asking, and other ones in the next epoch or with another seed", () => {
    const batches = new Batches(sequences, { batchSize: 4, seed: 7, shuffle: true });
    const again = new Batches(sequences, { batchSize: 4, seed: 7, shuffle: true });
    const first = batches.batch(0, 1);
    expect(again.batch(1, 0)).toEqual(batches.batch(1, 0));
    expect(again.batch(0, 1)).toEqual(first);
    expect(rowsIn(batches.batch(1, 1))).not.toEqual(rowsIn(first));
    expect(rowsIn(new Batches(sequences, { batchSize: 4, seed: 8, shuffle: true }).batch(0, 1))).not.toEqual(
      rowsIn(first),
    );
  });

  test("cover every row once", () => {
    for (const packTo of [undefined, 6]) {
      const batches = new Batches(sequences, { batchSize: 3, seed: 1, shuffle: true, packTo });
      const all = Array.from({ length: batches.perEpoch }, (_, index) => batches.batch(3, index));
      expect(all.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(40);
      const ids = all.flatMap(({ inputIds, segmentIds }) => numbers(inputIds).filter((_, at) => segmentIds[at] !== 0n));
      expect(new Set(ids).size).toBe(40);
    }
  });
});

describe("length buckets", () => {
  test("can be limited to fewer: the same batches, padded further", () => {
    const sequences = [5, 40, 90, 20, 100].map((length, index) => row(index + 1, length));
    const batches = new Batches(sequences, { batchSize: 1, seed: 1, shuffle: false });
    const all = () => sequences.map((_, index) => batches.batch(0, index));
    const before = all();
    expect(before.map(({ length }) => length)).toEqual([16, 48, 96, 32, 100]);
    batches.limitBuckets(2);
    expect(batches.buckets).toEqual([64, 100]);
    const after = all();
    expect(after.map(({ length }) => length)).toEqual([64, 64, 100, 64, 100]);
    expect(after.map(({ tokens, scored }) => [tokens, scored])).toEqual(
      before.map(({ tokens, scored }) => [tokens, scored]),
    );
  });

  test("are few, rise, and end with the longest row", () => {
    expect(lengthBuckets(128)).toEqual([16, 32, 48, 64, 80, 96, 112, 128]);
    expect(lengthBuckets(100)).toEqual([16, 32, 48, 64, 80, 96, 100]);
    expect(lengthBuckets(5)).toEqual([5]);
    expect(lengthBuckets(1024)).toHaveLength(16);
    expect(lengthBuckets(100_000).length).toBeLessThanOrEqual(16);
  });
});

describe("packing", () => {
  test("puts the longest rows first, each into the fullest pack that has room", () => {
    expect(packRows([5, 3, 8, 2, 2], 8)).toEqual([[2], [0, 1], [3, 4]]);
    expect(packRows([4, 4, 4], 8)).toEqual([[0, 1], [2]]);
    expect(packRows([], 8)).toEqual([]);
  });

  test("never exceeds the capacity, loses no row, and equals a plain search for the best fit", () => {
    const capacity = 70;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: capacity }), { maxLength: 60 }), (lengths) => {
        const packs = packRows(lengths, capacity);
        expect(packs.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, index) => index));
        const filled = packs.map((rows) => rows.reduce((sum, index) => sum + (lengths[index] ?? 0), 0));
        expect(Math.max(0, ...filled)).toBeLessThanOrEqual(capacity);
        const plain: number[] = [];
        for (const length of [...lengths].sort((a, b) => b - a)) {
          const fitting = plain.filter((used) => used + length <= capacity);
          if (fitting.length === 0) plain.push(length);
          else plain[plain.indexOf(Math.max(...fitting))] = Math.max(...fitting) + length;
        }
        expect([...filled].sort()).toEqual(plain.sort());
      }),
    );
  });
});

describe("shuffling", () => {
  test("is a permutation that leaves no place its old row more often than chance", () => {
    let fixed = 0;
    for (let epoch = 0; epoch < 200; epoch++) {
      const order = shuffledOrder(11, 3, epoch);
      expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      fixed += order.filter((row, place) => row === place).length;
    }
    // One fixed point is expected in each permutation; 200 of them have a standard deviation of 14.
    expect(Math.abs(fixed - 200)).toBeLessThan(60);
  });

  test("stays as it was published, so that older runs can be resumed", () => {
    expect([...shuffledOrder(8, 42, 0)]).toEqual([6, 3, 1, 5, 0, 2, 7, 4]);
  });
});
