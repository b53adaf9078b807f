/** Shapes of a file → shapes of numbers. */

import { UnsupportedError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import type { ValueInfo } from "../formats/onnx/graph.ts";

/** @throws {UnsupportedError} UNSUPPORTED_MODEL for sizes that are free or unknown */
export function fixedShape({ name, shape }: Pick<ValueInfo, "name" | "shape">): Shape {
  const fixed = shape?.filter((size) => typeof size === "number");
  if (fixed !== undefined && fixed.length === shape?.length) return fixed;
  const problem = `expected a fixed shape, got ${describeShape(shape)}`;
  throw new UnsupportedError("UNSUPPORTED_MODEL", problem, { subject: name });
}

/** `["batch", 4, ?]`, safe to print. */
export function describeShape(shape: ValueInfo["shape"]): string {
  if (shape === undefined) return "unknown";
  return `[${shape.map((size) => (typeof size === "string" ? quote(size) : (size ?? "?"))).join(", ")}]`;
}
