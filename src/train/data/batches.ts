/**
 * The micro-batches of a run: batch i of epoch e is a pure function of the rows, the seed and (e, i).
 *
 * Without shuffling rows come in their order and the last batch of an epoch takes what is left, as in a sequential
 * DataLoader of torch.
 */

import type { Batch, Sequence } from "./batch.ts";
import { lengthBuckets } from "./buckets.ts";
import { makeBatch } from "./make-batch.ts";
import { packRows } from "./pack.ts";
import { shuffledOrder } from "./shuffle.ts";

export interface BatchOptions {
  /** Sequences of a micro-batch; with packing each may hold several rows. */
  readonly batchSize: number;
  readonly seed: number;
  readonly shuffle: boolean;
  /** Tokens that a pack may hold; rows are not packed without it. */
  readonly packTo?: number | undefined;
  /** What every batch is filled up to, with rows and tokens that teach nothing. */
  readonly fixed?: { readonly rows: number | undefined; readonly length: number | undefined };
}

export class Batches {
  /** Micro-batches of an epoch. */
  readonly perEpoch: number;
  #buckets: readonly number[];
  readonly #packs: readonly (readonly Sequence[])[];
  readonly #options: BatchOptions;
  #order: { readonly epoch: number; readonly packs: Uint32Array } | undefined;

  constructor(sequences: readonly Sequence[], options: BatchOptions) {
    this.#options = options;
    this.#packs = packsOf(sequences, options.packTo);
    this.perEpoch = Math.ceil(this.#packs.length / options.batchSize);
    this.#buckets = lengthBuckets(this.#packs.reduce((longest, rows) => Math.max(longest, lengthOf(rows)), 0));
  }

  /** Lengths to which batches are padded, rising. */
  get buckets(): readonly number[] {
    return this.#buckets;
  }

  /** Pads to fewer lengths from now on. */
  limitBuckets(most: number): void {
    this.#buckets = lengthBuckets(this.#buckets.at(-1) ?? 0, most);
  }

  /** @param epoch, index from 0; `index` below `perEpoch` */
  batch(epoch: number, index: number): Batch {
    const { batchSize, fixed } = this.#options;
    const order = this.#orderOf(epoch).subarray(index * batchSize, (index + 1) * batchSize);
    const packs = Array.from(order, (pack) => this.#packs[pack] ?? []);
    const longest = packs.reduce((most, rows) => Math.max(most, lengthOf(rows)), 0);
    while (packs.length < (fixed?.rows ?? 0)) packs.push([]);
    return makeBatch(packs, fixed?.length ?? this.#buckets.find((length) => length >= longest) ?? longest);
  }

  #orderOf(epoch: number): Uint32Array {
    if (this.#order?.epoch === epoch) return this.#order.packs;
    const { length } = this.#packs;
    const { shuffle, seed } = this.#options;
    const packs = shuffle ? shuffledOrder(length, seed, epoch) : Uint32Array.from({ length }, (_, index) => index);
    this.#order = { epoch, packs };
    return packs;
  }
}

function packsOf(sequences: readonly Sequence[], packTo: number | undefined): readonly (readonly Sequence[])[] {
  if (packTo === undefined) return sequences.map((row) => [row]);
  const packs = packRows(
    sequences.map(({ tokens }) => tokens.length),
    packTo,
  );
  return packs.map((rows) => rows.flatMap((row) => sequences[row] ?? []));
}

function lengthOf(rows: readonly Sequence[]): number {
  return rows.reduce((sum, { tokens }) => sum + tokens.length, 0);
}
