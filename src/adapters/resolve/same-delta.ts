/**
 * Whether two products are one delta but for roundings: factors that were folded or decomposed anew (`rescale`, `resize`) have
 * other numbers and the same product.
 */

import { norm } from "../../core/norm.ts";
import { fillNormal, philoxKey } from "../../core/random.ts";
import type { LowRankStep, Step } from "../edit.ts";
import type { MatrixView } from "../matrix.ts";
import { readNumbers } from "./tensor-values.ts";

/** bf16 rounds by 2⁻⁹ each factor; deltas that were trained apart are apart by their own size. */
const TOLERANCE = 2 ** -6;

/** Of one step each, by what both make of one random vector. */
export function sameDelta([a, ...moreOfA]: readonly Step[], [b, ...moreOfB]: readonly Step[]): boolean {
  if (moreOfA.length > 0 || moreOfB.length > 0 || !isPlain(a) || !isPlain(b)) return false;
  if (a.left.rows !== b.left.rows || a.right.columns !== b.right.columns) return false;
  const probe = new Float32Array(a.right.columns);
  fillNormal(probe, philoxKey(0, "same delta"), 0);
  const [first, second] = [applied(a, probe), applied(b, probe)];
  const difference = first.map((value, row) => value - (second[row] ?? 0));
  return norm(difference) <= TOLERANCE * norm(first);
}

function isPlain(step: Step | undefined): step is LowRankStep {
  if (step?.kind !== "low-rank") return false;
  return step.diagonal === undefined && step.rowFactors === undefined && step.columnFactors === undefined;
}

function applied({ scale, left, right }: LowRankStep, vector: ArrayLike<number>): Float64Array {
  return product(left, product(right, vector)).map((value) => scale * value);
}

function product(view: MatrixView, vector: ArrayLike<number>): Float64Array {
  const numbers = readNumbers(view.tensor);
  const { rows, columns, offset, rowStride, columnStride } = view;
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let at = 0; at < columns; at++) {
      sum += (numbers[offset + row * rowStride + at * columnStride] ?? 0) * (vector[at] ?? 0);
    }
    return sum;
  });
}
