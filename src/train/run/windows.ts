/**
 * Which micro-batches each step takes: consecutive ones of an epoch, as many as are accumulated; what is left at the end of
 * an epoch is a step of its own, as in transformers' Trainer. A function of the step alone, so that a run can start
 * anywhere.
 */

import type { Batch } from "../data/batch.ts";
import type { Batches } from "../data/batches.ts";

export class Windows {
  readonly stepsPerEpoch: number;
  readonly #batches: Batches;
  readonly #gradAccum: number;

  constructor(batches: Batches, gradAccum: number) {
    this.#batches = batches;
    this.#gradAccum = gradAccum;
    this.stepsPerEpoch = Math.ceil(batches.perEpoch / gradAccum);
  }

  /** See `Batches.limitBuckets`. */
  limitBuckets(most: number): void {
    this.#batches.limitBuckets(most);
  }

  /** @param step from 1 */
  of(step: number): Batch[] {
    const epoch = Math.floor((step - 1) / this.stepsPerEpoch);
    const first = ((step - 1) % this.stepsPerEpoch) * this.#gradAccum;
    const count = Math.min(this.#gradAccum, this.#batches.perEpoch - first);
    return Array.from({ length: count }, (_, index) => this.#batches.batch(epoch, first + index));
  }
}
