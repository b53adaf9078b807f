/**
 * Tensors of a PEFT file with the names of base parameters: full replacements (modules_to_save, trained biases, resized
 * embeddings), and base weights that a delta goes onto (`embed_tokens.base_layer.weight`).
 */

import { quote } from "../../../core/text.ts";
import type { AdapterModule, Override, TokenRows } from "../../adapter.ts";
import type { PeftConfig } from "./config.ts";
import { type Entries, type ParameterEntry, parameterName } from "./entries.ts";
import { hasDimensions, requireFloat } from "./factor-shapes.ts";
import type { Problems } from "./problems.ts";

/** Every parameter ends as the base weight of a module or as an override. */
export function placeParameters(
  modules: readonly AdapterModule[],
  parameters: ReadonlyMap<string, ParameterEntry>,
  problems: Problems,
): { readonly modules: readonly AdapterModule[]; readonly overrides: readonly Override[] } {
  const left = new Map(parameters);
  const completed = modules.map((module): AdapterModule => {
    const name = parameterName(module.name, module.parameter ?? "weight");
    const entry = left.get(name);
    if (entry === undefined) return module;
    left.delete(name);
    if (!entry.wrapped) {
      const problem = `replaces the weight of ${quote(module.name)}, which has factors too, expected one of them`;
      problems.add("ADAPTER_MISMATCH", entry.tensor.name, problem);
    }
    return { ...module, baseWeight: entry.tensor };
  });
  return { modules: completed, overrides: Array.from(left, ([name, { tensor }]) => ({ name, value: tensor })) };
}

/** The rows of trainable tokens with their indices. */
export function placeTokenRows(
  tokenRows: Entries["tokenRows"],
  { tokenIndices }: PeftConfig,
  problems: Problems,
): readonly TokenRows[] {
  const placed: TokenRows[] = [];
  for (const [name, rows] of tokenRows) {
    const indices = tokenIndices?.of(name);
    if (indices === undefined) {
      problems.add("ADAPTER_INCOMPLETE", rows.name, "the settings do not say which tokens the rows belong to");
      continue;
    }
    requireFloat(rows);
    if (!hasDimensions([rows], [2, 2], problems)) continue;
    if (rows.shape[0] !== indices.length) {
      const problem = `expected ${indices.length} rows, one for each token of the settings, got ${rows.shape[0]}`;
      problems.add("ADAPTER_MISMATCH", rows.name, problem);
      continue;
    }
    placed.push({ name, indices, rows });
  }
  return placed;
}
