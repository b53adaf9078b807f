/**
 * One compiled graph for batches of one shape: feeds go in, the loss comes out, gradients are written in place.
 *
 * On the processor the base's matrices are fed from one place in memory, so that programs for several shapes share them;
 * the kernels take a matrix of rows by a fed weight as fast as by a constant one. Other devices hold them as constants,
 * because what is fed would travel to them at every step.
 */

import { elementCount } from "../../core/shape.ts";
import type { Engine, Program } from "../../engine/engine.ts";
import type { EngineTensor, EngineTensors } from "../../engine/tensor.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { asInputs } from "../../graph/as-inputs.ts";
import { feedBatch } from "../base/token-inputs.ts";
import type { Batch } from "../data/batch.ts";
import { LOGIT_ROWS, listLogitRows } from "./logit-rows.ts";
import { buildStepGraph, type DropoutMask, type StepGraph, type StepGraphOptions } from "./step-graph.ts";

/** Whether programs read the base from one place; each of another device holds a copy, which compiling brings there. */
export function sharesWeights({ device }: Engine): boolean {
  return device.device === "cpu";
}

export class StepProgram {
  readonly masks: readonly DropoutMask[];
  readonly #program: Program;
  readonly #weights: EngineTensors;
  readonly #loss: string;
  readonly #gradients: ReadonlyMap<string, string>;
  /** `undefined`: all positions. */
  readonly #logitRows: number | undefined;

  static async compile(engine: Engine, options: StepGraphOptions): Promise<StepProgram> {
    const step = buildStepGraph(options);
    const saved = new Set(options.saved);
    const shares = sharesWeights(engine);
    const isFed = ({ name, dtype, shape, source }: TensorData) =>
      saved.has(name) || (shares && source.kind === "memory" && dtype === "f32" && shape.length === 2);
    const { graph, fed } = asInputs(step.graph, isFed);
    const weights = [...fed.values()].flatMap((tensor) => (saved.has(tensor.name) ? [] : [toEngineTensor(tensor)]));
    // Labels and sizes are whole numbers, for which other devices have no kernels.
    const program = await engine.compile(graph, { allowCpuNodes: true });
    return new StepProgram(program, new Map(weights), step);
  }

  private constructor(program: Program, weights: EngineTensors, { loss, gradients, masks, logitRows }: StepGraph) {
    this.#program = program;
    this.#weights = weights;
    this.#loss = loss;
    this.#gradients = gradients;
    this.masks = masks;
    this.#logitRows = logitRows;
  }

  /**
   * The summed loss of a batch.
   *
   * @param trained the trained tensors and the dropout masks
   * @param gradients where to write the gradient of each trained tensor; those of an evaluation are empty
   */
  async run(batch: Batch, trained: EngineTensors, gradients: EngineTensors): Promise<number> {
    const fetches = new Map<string, EngineTensor | undefined>([[this.#loss, undefined]]);
    for (const [name, output] of this.#gradients) fetches.set(output, gradients.get(name));
    const feeds = new Map([...feedBatch(batch), ...this.#weights, ...trained]);
    if (this.#logitRows !== undefined) {
      const data = listLogitRows(batch, this.#logitRows);
      feeds.set(LOGIT_ROWS, { dtype: "i64", shape: [data.length], data });
    }
    const results = await this.#program.run(feeds, fetches);
    return Number(results.get(this.#loss)?.data[0]);
  }

  close(): Promise<void> {
    return this.#program.close();
  }
}

function toEngineTensor({ name, shape, source }: TensorData): [string, EngineTensor] {
  if (source.kind !== "memory") throw new Error(`weight ${name} is not in memory`);
  const { buffer, byteOffset } = source.bytes;
  const data = new Float32Array(buffer as ArrayBuffer, byteOffset, elementCount(shape));
  return [name, { dtype: "f32", shape, data }];
}
