/**
 * The numbers that a graph multiplies a value with, node after node: a LoRA branch's scale, wherever the exporter put it.
 */

import { decodeElement } from "../../../core/cast/float-codec.ts";
import { isFloatDtype } from "../../../core/dtype.ts";
import { readTensorBytes } from "../../byte-source.ts";
import type { OnnxNode } from "../model.ts";
import type { GraphLinks } from "./graph-links.ts";
import type { WeightAt, WeightTable } from "./linear-map.ts";

/** A constant that is one number of a scale. */
export interface ScaleNumber {
  readonly held: WeightAt;
  readonly number: number;
  /** The data is divided by it. */
  readonly divides: boolean;
}

export interface ScaleChain {
  /** Name of the value before all numbers. */
  readonly origin: string;
  /** From the last product back to the first. */
  readonly numbers: readonly ScaleNumber[];
  /** Names of the values on the way, the last one first: with all numbers, then with fewer, then the origin. */
  readonly values: readonly string[];
  /** How many numbers each of the values still lacks. */
  readonly lacking: readonly number[];
}

/** Back from a value over casts and products with one number. */
export function followScale(value: string, { producers }: GraphLinks, table: WeightTable): ScaleChain {
  const numbers: ScaleNumber[] = [];
  const values = [value];
  const lacking = [0];
  for (let at = value; ; values.push(at), lacking.push(numbers.length)) {
    const node = producers.get(at);
    if (node === undefined) return { origin: at, numbers, values, lacking };
    if (node.opType === "Mul" || node.opType === "Div") {
      const inputs = node.opType === "Div" ? [1] : [0, 1];
      const [found] = inputs.flatMap((input) => numberAt(node, input, table) ?? []);
      if (found === undefined) return { origin: at, numbers, values, lacking };
      numbers.push(found);
      at = node.inputs[found.held.use.input === 0 ? 1 : 0] ?? "";
    } else if (isPassing(node)) at = node.inputs[0] ?? "";
    else return { origin: at, numbers, values, lacking };
  }
}

/** What the numbers of a chain come to. */
export function scaleOf(numbers: readonly ScaleNumber[]): number {
  return numbers.reduce((scale, { number, divides }) => (divides ? scale / number : scale * number), 1);
}

/** Whether a node hands its data on: dropout does wherever a model is not trained. */
export function isPassing({ opType }: OnnxNode): boolean {
  return opType === "Identity" || opType === "Cast" || opType === "Dropout";
}

function numberAt(node: OnnxNode, input: number, { weights }: WeightTable): ScaleNumber | undefined {
  const held = weights.get(node)?.get(input);
  const data = held?.use.constant.tensor.data;
  if (held === undefined || data === undefined || !isFloatDtype(data.dtype)) return undefined;
  if (data.shape.some((size) => size !== 1)) return undefined;
  return { held, number: decodeElement(data.dtype, readTensorBytes(data), 0), divides: node.opType === "Div" };
}
