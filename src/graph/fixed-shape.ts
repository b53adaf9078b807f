/** Shapes of a file → shapes of numbers. */

import { UnsupportedError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { Dimension } from "../formats/onnx/graph.ts";

/** @throws {UnsupportedError} UNSUPPORTED_MODEL for sizes that are free or unknown */
export function fixedShape(name: string, shape: readonly Dimension[] | undefined): Shape {
  const fixed = shape?.filter((size) => typeof size === "number");
  if (fixed === undefined || fixed.length !== shape?.length) {
    throw new UnsupportedError("UNSUPPORTED_MODEL", `expected a fixed shape, got [${shape ?? "?"}]`, { subject: name });
  }
  return fixed;
}
