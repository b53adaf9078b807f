/**
 * A node whose inputs are all known → its results, where there is a rule and they are not too large.
 *
 * Shapes, masks, positions and indices become constants here. Large constants are better computed by the engine, unless
 * nothing else can compute them; how much one may hold at most bounds what a small file can ask for.
 */

import { type Dtype, isFloatDtype } from "../../../core/dtype.ts";
import { elementCount, formatShape } from "../../../core/shape.ts";
import { invalid, type ValueType } from "../../call.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import type { FoldCall, FoldRule } from "./fold-call.ts";
import { INDEXING } from "./indexing.ts";
import { LAYOUT } from "./layout.ts";
import { MAKING } from "./making.ts";

const RULES: ReadonlyMap<string, FoldRule> = new Map(
  Object.entries({ ...ELEMENTWISE, ...LAYOUT, ...INDEXING, ...MAKING }),
);

export interface Folded extends ValueType {
  readonly numbers: Float64Array;
}

/**
 * Results by position; `large` when an input or result has more elements than `limit`, `undefined` without a rule.
 *
 * @throws {FormatError} INVALID_MODEL
 */
export function fold(call: FoldCall, limit: number): readonly Folded[] | "large" | undefined {
  const rule = RULES.get(call.operator);
  if (rule === undefined) return undefined;
  const isLarge = (count: number | undefined) => count === undefined || count > limit;
  if (call.inputs.some((input) => input !== undefined && isLarge(input.elements))) return "large";
  const types = rule.infer(call);
  for (const { shape } of types) {
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw invalid(call, `a size that does not exist: ${formatShape(shape)}`);
    }
  }
  if (types.some(({ shape }) => isLarge(elementCount(shape)))) return "large";
  const results = types.map(({ shape }) => new Float64Array(elementCount(shape) ?? 0));
  rule.compute(call, results, types);
  return types.map(({ dtype, shape }, index) => {
    const numbers = results[index] ?? new Float64Array();
    settle(call, dtype, numbers);
    return { dtype, shape, numbers };
  });
}

/** Rounds to the dtype; integers that are none, as after a division by 0, are refused. */
function settle(call: FoldCall, dtype: Dtype, numbers: Float64Array): void {
  if (isFloatDtype(dtype)) {
    for (let at = 0; at < numbers.length; at++) numbers[at] = Math.fround(numbers[at] ?? 0);
  } else if (!numbers.every(Number.isFinite)) throw invalid(call, "a result is no integer");
}
