/**
 * What a rule for computing with constants is given.
 */

import { inputOf, invalid, type NodeCall, type ValueType } from "../../call.ts";
import type { Constant } from "../constant.ts";

export interface FoldCall extends NodeCall {
  readonly inputs: readonly (Constant | undefined)[];
}

export interface FoldRule {
  /** Types of the results, known before anything is computed: what is too large is not computed. */
  readonly infer: (call: FoldCall) => readonly ValueType[];
  /** Fills the results, which are rounded to their dtype afterwards. */
  readonly compute: (call: FoldCall, results: readonly Float64Array[], types: readonly ValueType[]) => void;
}

/** @throws {FormatError} INVALID_MODEL when the input is absent */
export function constantOf(call: FoldCall, index: number): Constant {
  inputOf(call, index);
  return call.inputs[index] as Constant;
}

/** The one number of an input. */
export function numberOf(call: FoldCall, index: number): number {
  const [number, more] = constantOf(call, index).numbers;
  if (number === undefined || more !== undefined) throw invalid(call, `expected one number as input ${index}`);
  return number;
}

export function firstOf<Item>(call: NodeCall, items: readonly Item[]): Item {
  const [first] = items;
  if (first === undefined) throw invalid(call, "nothing to compute with");
  return first;
}
