/**
 * Compiled graphs by the shape of their batches, the ones used last: each keeps what it freed for its next run, so memory
 * grows with their number.
 */

import type { Engine } from "../../engine/engine.ts";
import type { Batch } from "../data/batch.ts";
import { StepProgram } from "./program.ts";
import type { StepGraphOptions } from "./step-graph.ts";

/** Programs that stay compiled. */
const MAX_PROGRAMS = 4;

export class StepPrograms {
  readonly #engine: Engine;
  readonly #options: Omit<StepGraphOptions, "rows" | "length" | "gradients">;
  /** Least recently used first. */
  readonly #programs = new Map<string, StepProgram>();

  constructor(engine: Engine, options: Omit<StepGraphOptions, "rows" | "length" | "gradients">) {
    this.#engine = engine;
    this.#options = options;
  }

  /** @param gradients whether it is for a step or an evaluation */
  async for({ rows, length }: Pick<Batch, "rows" | "length">, gradients: boolean): Promise<StepProgram> {
    const key = `${rows} ${length} ${gradients}`;
    let program = this.#programs.get(key);
    if (program === undefined) {
      await this.#evict();
      program = await StepProgram.compile(this.#engine, { ...this.#options, rows, length, gradients });
    }
    this.#programs.delete(key);
    this.#programs.set(key, program);
    return program;
  }

  async #evict(): Promise<void> {
    if (this.#programs.size < MAX_PROGRAMS) return;
    for (const [key, program] of this.#programs) {
      this.#programs.delete(key);
      return program.close();
    }
  }
}
