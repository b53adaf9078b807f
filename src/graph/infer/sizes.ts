/**
 * Sizes that a graph computes from its own shapes, so that one description of a model serves fixed and dynamic sizes:
 * shapes are known when a graph is built, and with them what Shape gives and Concat joins.
 */

import { type Call, inputOf, type Value } from "../call.ts";
import { sizesOf } from "./infer.ts";

/**
 * The integers that a node computes, where they follow from shapes and constants alone.
 *
 * @param known the integers of an input, where they are known
 */
export function computeSizes(
  call: Call,
  known: (value: Value) => readonly number[] | undefined,
): readonly number[] | undefined {
  if (call.operator === "Shape") return sizesOf(call);
  if (call.operator !== "Concat" || inputOf(call, 0).dtype !== "i64") return undefined;
  const parts: number[] = [];
  for (let index = 0; index < call.inputs.length; index++) {
    const part = known(inputOf(call, index));
    if (part === undefined) return undefined;
    parts.push(...part);
  }
  return parts;
}
