/**
 * `modules_to_save`: modules that are trained whole, and the weights of the base that they are made of. A name hits the
 * modules whose names end with it, dot or not (`_set_trainable` of PEFT 0.21.2: `norm` is every norm).
 */

import { UsageError } from "../../core/errors.ts";
import { lastPart, parentPath, quote, summarise } from "../../core/text.ts";
import type { Base } from "../base/base.ts";
import type { SelectedModule } from "./select-modules.ts";

/** A weight of the base that is trained whole. */
export interface SavedWeight {
  /** Among the base's weights. */
  readonly name: string;
  /** What adapters call it: `<module>.weight`. */
  readonly parameter: string;
  readonly module: string;
}

/**
 * They get weights of their own: where an end of a tied embedding is among them, head and table part, as in PEFT.
 *
 * @param adapted modules that get an adapter
 * @throws {UsageError} for a name that hits nothing, or a module that gets an adapter, as PEFT does
 */
export function selectSaved(base: Base, names: readonly string[], adapted: readonly SelectedModule[]): SavedWeight[] {
  const both = adapted.find(({ layer }) => hits(layer.module, names));
  if (both !== undefined) {
    throw new UsageError(`${quote(both.layer.module)} gets an adapter: it cannot be trained whole as well`, {
      subject: "--modules-to-save",
      hint: "give the whole last part of its name, which takes it out of the targets",
    });
  }
  base.separate((module) => hits(module, names));
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
        ...(base.namelessBecause !== undefined && { hint: base.namelessBecause }),
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
