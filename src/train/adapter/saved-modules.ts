/**
 * `modules_to_save`: modules that are trained whole, and the weights of the base that they are made of. A name hits the
 * modules whose names end with it, dot or not (`_set_trainable` of PEFT 0.21.2: `norm` is every norm).
 */

import { UsageError } from "../../core/errors.ts";
import { lastPart, parentPath, quote, summarise } from "../../core/text.ts";
import type { Base } from "../base/base.ts";

/** A weight of the base that is trained whole. */
export interface SavedWeight {
  /** Among the base's weights. */
  readonly name: string;
  /** What adapters call it: `<module>.weight`. */
  readonly parameter: string;
  readonly module: string;
}

/**
 * Where an end of a tied embedding is among them, the base's head gets a weight of its own, as PEFT's copies do.
 *
 * @throws {UsageError} for a name that hits nothing
 */
export function selectSaved(base: Base, names: readonly string[]): SavedWeight[] {
  if (base.layers.some(({ module, isHead, kind }) => (isHead || kind === "embedding") && hits(module, names)))
    base.untie();
  const saved = Array.from(base.parameterNames, ([name, parameter]) => {
    return { name, parameter, module: parentPath(parameter) };
  });
  for (const name of names) {
    if (saved.some(({ module }) => hits(module, [name]))) continue;
    const known = new Set(saved.map(({ module }) => lastPart(module)));
    throw new UsageError(
      `no module of the base has this name, expected one of ${summarise([...known].map(quote), 16)}`,
      {
        subject: `--modules-to-save ${name}`,
      },
    );
  }
  return saved.filter(({ module }) => hits(module, names));
}

/** The module itself, or one that it lies in. */
function hits(module: string, names: readonly string[]): boolean {
  const parts = module.split(".");
  return parts.some((_, index) => {
    const path = parts.slice(0, index + 1).join(".");
    return names.some((name) => path.endsWith(name));
  });
}
