/**
 * Inputs of a graph with free sizes → inputs of fixed shapes, or constants.
 *
 * A size that the file states must be the one that is given, and one symbol stands for one size.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { formatShape, type Shape, sameShape } from "../../core/shape.ts";
import type { ValueInfo } from "../../formats/onnx/graph.ts";
import type { GraphBuilder } from "../builder.ts";
import { describeShape, fixedShape } from "../fixed-shape.ts";
import { promoted } from "./constant.ts";
import type { Entry, Scope } from "./scope.ts";

export interface GivenInputs {
  readonly shapes?: ReadonlyMap<string, Shape>;
  /** What stands for an input, which is then none of the new graph. */
  readonly bound: ReadonlyMap<string, Entry>;
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL */
export function declareInputs(
  g: GraphBuilder,
  scope: Scope,
  inputs: readonly ValueInfo[],
  { shapes, bound }: GivenInputs,
): void {
  const symbols = new Map<string, number>();
  for (const input of inputs) {
    const entry = bound.get(input.name);
    const shape = entry?.shape ?? shapes?.get(input.name) ?? fixedShape(input);
    assertFits(input, shape, symbols);
    scope.set(input.name, entry ?? g.input(input.name, promoted(input.dtype), shape));
  }
}

function assertFits({ name, shape }: ValueInfo, given: Shape, symbols: Map<string, number>): void {
  if (shape === undefined) return;
  const expected = shape.map((size, axis) => {
    const here = given[axis] ?? Number.NaN;
    if (size === undefined) return here;
    if (typeof size === "number") return size;
    const known = symbols.get(size) ?? here;
    symbols.set(size, known);
    return known;
  });
  if (sameShape(expected, given)) return;
  const problem = `expected shape ${describeShape(shape)}, got ${formatShape(given)}`;
  throw new UnsupportedError("UNSUPPORTED_MODEL", problem, { subject: name });
}
