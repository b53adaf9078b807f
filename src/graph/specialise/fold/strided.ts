/**
 * Copies along strides: transposing, cutting, repeating and broadcasting are all of this form.
 */

import { productOf, type Shape, stridesOf } from "../../../core/shape.ts";

/** Stands for numbers that a rule does not have. */
export const EMPTY = new Float64Array();

/** Fills `target`, of `shape`, with source[offset + Σ index · stride]. */
export function copyStrided(
  source: Float64Array,
  target: Float64Array,
  shape: Shape,
  strides: readonly number[],
  offset = 0,
): void {
  const index = shape.map(() => 0);
  let from = offset;
  for (let at = 0; at < target.length; at++) {
    target[at] = source[from] ?? Number.NaN;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      from += stride;
      if (next < (shape[axis] ?? 0)) {
        index[axis] = next;
        break;
      }
      from -= next * stride;
      index[axis] = 0;
    }
  }
}

/** A tensor repeated to a shape that it broadcasts to. */
export function broadcastNumbers(
  { shape, numbers }: { readonly shape: Shape; readonly numbers: Float64Array },
  to: Shape,
): Float64Array {
  const count = productOf(to);
  if (numbers.length === count) return numbers;
  const missing = to.length - shape.length;
  const own = stridesOf(shape);
  const strides = to.map((_, axis) => (shape[axis - missing] === 1 ? 0 : (own[axis - missing] ?? 0)));
  const result = new Float64Array(count);
  copyStrided(numbers, result, to, strides);
  return result;
}
