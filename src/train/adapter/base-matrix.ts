/**
 * The weight of a base's layer as a matrix [out, in], whichever way it is stored: Conv1D keeps [in, out].
 */

import type { Base, BaseLayer } from "../base/base.ts";

export class BaseMatrix {
  readonly #layer: BaseLayer;
  /** As stored, in the memory that graphs compute with. */
  readonly #values: Float32Array;

  /** The base is loaded. */
  constructor(base: Base, layer: BaseLayer) {
    this.#layer = layer;
    this.#values = valuesOf(base, layer.weight);
  }

  /** A copy as [out, in]. */
  copy(): Float32Array {
    const { inputsFirst, inputs, outputs } = this.#layer;
    if (!inputsFirst) return this.#values.slice();
    const turned = new Float32Array(this.#values.length);
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        turned[output * inputs + input] = this.#values[input * outputs + output] ?? 0;
      }
    }
    return turned;
  }

  /** W += factor · up · down, in place. */
  addProduct(down: Float32Array, up: Float32Array, rank: number, factor: number): void {
    const { inputsFirst, inputs, outputs } = this.#layer;
    const row = new Float64Array(inputs);
    for (let output = 0; output < outputs; output++) {
      rowOfProduct(row, down, up, rank, output);
      for (let input = 0; input < inputs; input++) {
        const at = inputsFirst ? input * outputs + output : output * inputs + input;
        this.#values[at] = (this.#values[at] ?? 0) + factor * (row[input] ?? 0);
      }
    }
  }

  /** ‖W + scale · up · down‖ of each output: what DoRA's magnitudes start from. */
  mergedNorms(down: Float32Array, up: Float32Array, rank: number, scale: number): Float32Array {
    const { inputsFirst, inputs, outputs } = this.#layer;
    const row = new Float64Array(inputs);
    return Float32Array.from({ length: outputs }, (_, output) => {
      rowOfProduct(row, down, up, rank, output);
      let sum = 0;
      for (let input = 0; input < inputs; input++) {
        const at = inputsFirst ? input * outputs + output : output * inputs + input;
        sum += ((this.#values[at] ?? 0) + scale * (row[input] ?? 0)) ** 2;
      }
      return Math.sqrt(sum);
    });
  }
}

/** The numbers of a loaded weight, in the memory that graphs compute with. */
export function valuesOf(base: Base, name: string): Float32Array {
  const source = base.weights.get(name)?.source;
  if (source?.kind !== "memory") throw new Error(`weight ${name} is not loaded`);
  const { buffer, byteOffset, byteLength } = source.bytes;
  return new Float32Array(buffer as ArrayBuffer, byteOffset, byteLength / 4);
}

/** up[output] · down; most adapters start with up = 0, which costs nothing. */
function rowOfProduct(row: Float64Array, down: Float32Array, up: Float32Array, rank: number, output: number): void {
  row.fill(0);
  for (let inner = 0; inner < rank; inner++) {
    const weight = up[output * rank + inner] ?? 0;
    if (weight === 0) continue;
    const start = inner * row.length;
    for (let input = 0; input < row.length; input++)
      row[input] = (row[input] ?? 0) + weight * (down[start + input] ?? 0);
  }
}
