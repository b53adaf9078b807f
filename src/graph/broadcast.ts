/**
 * Broadcasting of shapes as ONNX and NumPy define it: aligned at the last axis, sizes equal or 1.
 */

import type { Shape } from "../core/shape.ts";

/** The shape that both broadcast to, or `undefined` when they do not. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape.push(left === 1 ? right : left);
  }
  return shape;
}

/** The axes of `to` along which `from` is repeated: those that a gradient is summed over. */
export function repeatedAxes(from: Shape, to: Shape): readonly number[] {
  const missing = to.length - from.length;
  return [...to.keys()].filter((axis) => axis < missing || (from[axis - missing] === 1 && to[axis] !== 1));
}
