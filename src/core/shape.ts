/**
 * Shapes, written outermost first, and their products, checked: a file can declare dimensions whose product overflows
 * any integer, so nothing here multiplies without looking.
 */

export type Shape = readonly number[];

/** The number of elements of a shape (1 for a scalar), or `undefined` when it exceeds 2^53 − 1. */
export function elementCount(shape: Shape): number | undefined {
  let count = 1;
  for (const dimension of shape) {
    count *= dimension;
    // A later zero does not excuse an overflow: the reference readers of safetensors multiply in order and refuse it.
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/** The product of sizes of what exists already; what a file states is counted by `elementCount`. */
export function productOf(sizes: Shape): number {
  return sizes.reduce((product, size) => product * size, 1);
}

/** Elements from one index of an axis to the next, in C order. */
export function stridesOf(shape: Shape): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--)
    strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1);
  return strides;
}

/** Whether two shapes have the same dimensions in the same order. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, axis) => dimension === b[axis]);
}

/** A shape as it is printed everywhere: `[4096, 11008]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
