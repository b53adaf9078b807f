/** The largest value that a graph may compute, so that a small file cannot ask for any amount of memory. */

import { UnsupportedError } from "../../core/errors.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import type { NodeCall } from "../call.ts";

/** 8 GiB of f32. */
const LARGEST_VALUE = 2 ** 31;

/** @throws {UnsupportedError} UNSUPPORTED_MODEL */
export function assertPossible(call: NodeCall, shape: Shape): void {
  const count = elementCount(shape);
  if (count !== undefined && count <= LARGEST_VALUE) return;
  const problem = `${call.operator}: a value of more than ${LARGEST_VALUE} elements: ${formatShape(shape)}`;
  throw new UnsupportedError("UNSUPPORTED_MODEL", problem, { subject: call.label });
}
