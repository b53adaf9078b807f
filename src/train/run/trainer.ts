/**
 * The trained tensors and what changes them: one optimiser step over a window of micro-batches, and evaluations.
 *
 * Losses and gradients of micro-batches are sums over their scored tokens; they are added up and divided once by the
 * tokens of the window, so that rows of unequal length weigh the same in one large batch as in many small ones.
 */

import { NonFiniteError } from "../../core/errors.ts";
import { norm } from "../../core/norm.ts";
import type { EngineTensor, EngineTensors } from "../../engine/tensor.ts";
import type { TrainedSet, TrainedTensor } from "../adapter/trained-tensors.ts";
import type { Batch } from "../data/batch.ts";
import { clipFactor, totalNorm } from "../optimise/clip.ts";
import { stepParameter } from "../optimise/optimizer.ts";
import type { TrainSettings } from "../settings.ts";
import { dropoutMasks } from "../step/dropout.ts";
import type { StepPrograms } from "../step/programs.ts";

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
  /** Scored. */
  readonly tokens: number;
  /** Padding too. */
  readonly positions: number;
  /** By module, in the order of `Trainer.moduleNames`. */
  readonly moduleGradNorms: readonly number[];
}

export class Trainer {
  readonly moduleNames: readonly string[];
  readonly #set: TrainedSet;
  readonly #programs: StepPrograms;
  readonly #settings: TrainSettings;
  readonly #feeds: EngineTensors;
  readonly #sums: EngineTensors;
  /** Where a later micro-batch of a window puts its gradients before they are added. */
  #scratch: EngineTensors | undefined;

  constructor(set: TrainedSet, programs: StepPrograms, settings: TrainSettings) {
    this.#set = set;
    this.#programs = programs;
    this.#settings = settings;
    this.moduleNames = [...new Set(set.tensors.map(({ module }) => module))];
    this.#feeds = new Map(set.tensors.map(({ name, shape, values }) => [name, { dtype: "f32", shape, data: values }]));
    this.#sums = emptyLike(set.tensors);
  }

  /**
   * @param step from 1
   * @throws {NonFiniteError} naming step and module, before anything has changed
   */
  async step(window: readonly Batch[], step: number, learningRate: number): Promise<StepResult> {
    const { seed } = this.#settings.run;
    let [loss, tokens, positions] = [0, 0, 0];
    for (const [microBatch, batch] of window.entries()) {
      const program = await this.#programs.for(batch, true);
      const masks = dropoutMasks(program.masks, this.#settings.adapter.dropout, { seed, step, microBatch });
      const isFirst = microBatch === 0;
      if (!isFirst) this.#scratch ??= emptyLike(this.#set.tensors);
      const target = isFirst ? this.#sums : (this.#scratch ?? this.#sums);
      loss += await program.run(batch, new Map([...this.#feeds, ...masks]), target);
      if (!isFirst) addInto(this.#sums, target);
      tokens += batch.scored;
      positions += batch.rows * batch.length;
    }
    const share = 1 / Math.max(1, tokens);
    const norms = this.#set.tensors.map(({ name }) => norm(dataOf(this.#sums, name)) * share);
    const gradNorm = totalNorm(norms);
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw this.#notFinite(step, loss, norms);
    this.#apply(share * clipFactor(gradNorm, this.#settings.optimiser.maxGradNorm), learningRate, step);
    return { loss: loss * share, gradNorm, tokens, positions, moduleGradNorms: this.#byModule(norms) };
  }

  /** Mean loss over all scored tokens. */
  async evaluate(batches: Iterable<Batch>): Promise<number> {
    let [loss, tokens] = [0, 0];
    for (const batch of batches) {
      const program = await this.#programs.for(batch, false);
      loss += await program.run(batch, this.#feeds, new Map());
      tokens += batch.scored;
    }
    return loss / Math.max(1, tokens);
  }

  #apply(factor: number, learningRate: number, step: number): void {
    for (const tensor of this.#set.tensors) {
      stepParameter(tensor, dataOf(this.#sums, tensor.name), factor, learningRate, step, this.#settings.optimiser);
    }
  }

  #byModule(norms: readonly number[]): number[] {
    const groups = new Map<string, number[]>(this.moduleNames.map((name) => [name, []]));
    for (const [index, { module }] of this.#set.tensors.entries()) groups.get(module)?.push(norms[index] ?? 0);
    return Array.from(groups.values(), totalNorm);
  }

  #notFinite(step: number, loss: number, norms: readonly number[]): NonFiniteError {
    const first = this.#set.tensors.find((_, index) => !Number.isFinite(norms[index]));
    const what = Number.isFinite(loss)
      ? "the gradient is not finite"
      : `the loss is ${loss}, and the gradient not finite`;
    return new NonFiniteError(`step ${step}: ${what}`, {
      ...(first !== undefined && { subject: first.module }),
      hint: "lower --lr, add --warmup-steps, or look at the rows of this step",
    });
  }
}

function emptyLike(tensors: readonly TrainedTensor[]): EngineTensors {
  return new Map(
    tensors.map(({ name, shape, values }) => [name, { dtype: "f32", shape, data: new Float32Array(values.length) }]),
  );
}

function dataOf(tensors: EngineTensors, name: string): Float32Array {
  const tensor: EngineTensor | undefined = tensors.get(name);
  if (tensor?.dtype !== "f32") throw new Error(`no gradient of ${name}`);
  return tensor.data;
}

function addInto(sums: EngineTensors, more: EngineTensors): void {
  for (const name of sums.keys()) {
    const [sum, add] = [dataOf(sums, name), dataOf(more, name)];
    for (let index = 0; index < sum.length; index++) sum[index] = (sum[index] as number) + (add[index] as number);
  }
}
