/**
 * The trained values of the best evaluation, when they and not the last ones are the result.
 */

import type { TrainedTensor } from "../adapter/trained-tensors.ts";
import { readValues } from "./moments.ts";

export class BestValues {
  readonly #wanted: boolean;
  readonly #tensors: readonly TrainedTensor[];
  #step: number | undefined;
  #values: ReadonlyMap<string, Float32Array> = new Map();

  constructor(wanted: boolean, tensors: readonly TrainedTensor[]) {
    this.#wanted = wanted;
    this.#tensors = tensors;
  }

  /** The values as they are now, after this step. */
  keep(step: number): void {
    if (!this.#wanted) return;
    this.#values = new Map(this.#tensors.map(({ name, values }) => [name, values.slice()]));
    this.#step = step;
  }

  /** Those of a checkpoint, for a run that goes on. */
  async read(path: string, step: number): Promise<void> {
    if (!this.#wanted) return;
    this.#values = await readValues(path, this.#tensors);
    this.#step = step;
  }

  /** Puts them into the tensors and returns their step; `undefined` when the last ones stay. */
  restore(): number | undefined {
    for (const { name, values } of this.#tensors) {
      const best = this.#values.get(name);
      if (best !== undefined) values.set(best);
    }
    return this.#step;
  }
}
