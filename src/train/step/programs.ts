/**
 * Compiled graphs by the shape of their batches, the ones used last: each keeps what it freed for its next run, so memory
 * grows with their number.
 */

import type { Engine } from "../../engine/engine.ts";
import type { Batch } from "../data/batch.ts";
import { countLogitRows } from "./logit-rows.ts";
import { StepProgram, sharesWeights } from "./program.ts";
import type { StepGraphOptions } from "./step-graph.ts";

type ProgramOptions = Omit<StepGraphOptions, "rows" | "length" | "logitRows" | "gradients">;

/** Programs that stay compiled. */
const MAX_PROGRAMS = 4;

export class StepPrograms {
  readonly #engine: Engine;
  readonly #options: ProgramOptions;
  /** Least recently used first. */
  readonly #programs = new Map<string, StepProgram>();

  constructor(engine: Engine, options: ProgramOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** @param gradients whether it is for a step or an evaluation */
  async for(batch: Pick<Batch, "rows" | "length" | "scored">, gradients: boolean): Promise<StepProgram> {
    const { rows, length } = batch;
    const logitRows = sharesWeights(this.#engine) ? countLogitRows(batch) : rows * length;
    const key = `${rows} ${length} ${logitRows} ${gradients}`;
    let program = this.#programs.get(key);
    if (program === undefined) {
      await this.#evict();
      program = await StepProgram.compile(this.#engine, { ...this.#options, rows, length, logitRows, gradients });
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
