/**
 * `modules_to_save`: modules that are trained whole, by PEFT's rule for their names, and the weights of the base that they
 * are.
 */

import { patternCompiler, savedModules } from "../../adapters/layouts/peft/name-rules.ts";
import { UsageError } from "../../core/errors.ts";
import type { Base } from "../base/base.ts";

/**
 * Name of each weight to train, and the module that it belongs to.
 *
 * @throws {UsageError} for a name that matches nothing
 */
export function selectSaved(base: Base, names: readonly string[]): ReadonlyMap<string, string> {
  const compiler = patternCompiler("--modules-to-save");
  const saved = new Map<string, string>();
  for (const name of names) {
    const isSaved = savedModules([name], compiler);
    const hits = [...base.weights.keys()].filter((weight) => isSaved(moduleOf(weight)));
    if (hits.length === 0) {
      throw new UsageError("no module of the base has this name", { subject: `--modules-to-save ${name}` });
    }
    for (const hit of hits) saved.set(hit, moduleOf(hit));
  }
  return saved;
}

function moduleOf(weight: string): string {
  return weight.slice(0, Math.max(0, weight.lastIndexOf(".")));
}
