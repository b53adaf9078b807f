/**
 * Publishes the files of a layout beside each other, all or nothing as far as renames allow: data files first, the model
 * last, so that a model is never there before its data.
 *
 * Each file is staged by itself, as every output is. A model that is replaced goes before its data files do: a run that is
 * killed in between leaves no model, never an old model with new data.
 */

import { rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { InterruptedError, toFileError } from "../../core/errors.ts";
import { type StagedOutput, stageOutput } from "../output.ts";
import { assertWritable, clearLeftovers, type TargetRules } from "../output-checks.ts";
import type { OnnxLayout } from "./layout.ts";

interface StagedFile {
  readonly stage: StagedOutput;
  readonly target: string;
  /** Where it lies until it is published. */
  readonly path: string;
}

export class StagedModel {
  readonly #target: string;
  readonly #rules: TargetRules;
  /** By name, in the order of the layout: the model last. */
  readonly #stages = new Map<string, StagedFile>();
  readonly #opened: StagedOutput[] = [];

  /** See `stageModel`. */
  constructor(target: string, layout: OnnxLayout, rules: Omit<TargetRules, "kind">) {
    this.#target = resolve(target);
    this.#rules = { ...rules, kind: "file" };
    const targets = layout.files.map(({ name }) => ({ name, target: join(dirname(this.#target), name) }));
    try {
      // Of all files first: one that exists and may stay must not keep what a killed run left of the others.
      for (const { target } of targets) clearLeftovers(target, undefined);
      for (const { name, target } of targets) {
        const stage = stageOutput(target, this.#rules);
        this.#opened.push(stage);
        this.#stages.set(name, { stage, target, path: stage.createFile(name) });
      }
      const bytes = layout.files.reduce((sum, { byteLength }) => sum + byteLength, 0);
      this.#opened[0]?.reserve(bytes);
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** Where an output file is to be written, for `writeOnnx` and for whoever fills reserved ranges. */
  readonly pathOf = (name: string): string => {
    const staged = this.#stages.get(name);
    if (staged === undefined) throw new RangeError(`no output file has the name ${name}`);
    return staged.path;
  };

  /** Paths of the staged data files by the names that the model has for them, for whoever reads it back. */
  get dataFiles(): ReadonlyMap<string, string> {
    return new Map([...this.#stages].slice(0, -1).map(([name, { path }]) => [name, path]));
  }

  /** Makes everything durable; all bytes and checksums must be written, reads may go on. */
  async flush(): Promise<void> {
    for (const { stage } of this.#stages.values()) await stage.flush();
  }

  /**
   * Makes everything durable and puts it in place.
   *
   * @throws {InterruptedError} when the signal has come before the first rename
   */
  async publish(signal?: AbortSignal): Promise<void> {
    await this.flush();
    const staged = [...this.#stages.values()];
    if (signal?.aborted) throw new InterruptedError();
    try {
      for (const { target } of staged) assertWritable(target, this.#rules);
      if (staged.length > 1) rmSync(this.#target, { force: true });
    } catch (error) {
      throw toFileError(error, this.#target);
    }
    for (const { stage } of staged) await stage.publish();
  }

  /** Removes the stages; what was not published stays as it was. */
  discard(): void {
    // The first one made the folders around, which go when nothing is left in them.
    for (const stage of this.#opened.toReversed()) stage.discard();
  }
}

/**
 * Opens stages for a model file and the data files beside it.
 *
 * @param target path of the model; its name is the one that the layout was made for
 * @throws {FileError} when one of the files may not be written: it exists, is a link, is an input
 */
export function stageModel(target: string, layout: OnnxLayout, rules: Omit<TargetRules, "kind">): StagedModel {
  return new StagedModel(target, layout, rules);
}
