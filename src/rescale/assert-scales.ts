/**
 * Proof that a rescaled adapter is the old one: the scales that its reader computes are those that were meant.
 */

import { ulpsBetween } from "../adapters/alpha.ts";
import { MismatchError } from "../core/errors.ts";
import { quote } from "../core/text.ts";
import type { RescaleOptions } from "./options.ts";
import type { RescaledModule } from "./report.ts";

/** @throws {MismatchError} VERIFICATION_FAILED with every module whose scale is another */
export function assertScales(modules: readonly RescaledModule[], { bake, alpha, out }: RescaleOptions): void {
  const wrong = modules.filter(({ scaleBefore, scaleAfter, factor }) => {
    if (bake) return scaleAfter !== 1;
    // What a factor rounds is told by the report.
    if (alpha !== undefined) return !(ulpsBetween(Math.abs(scaleAfter * factor), Math.abs(scaleBefore)) <= 1);
    return !(ulpsBetween(Math.abs(scaleAfter), Math.abs(scaleBefore)) <= 1);
  });
  if (wrong.length === 0) return;
  const lines = wrong.map(({ name, scaleBefore, scaleAfter }) => `${quote(name)}: ${scaleBefore} became ${scaleAfter}`);
  throw new MismatchError("VERIFICATION_FAILED", "read back, the settings give other scales", lines, {
    file: out,
    hint: "nothing was written; the names of the modules may not be expressible as patterns",
  });
}
