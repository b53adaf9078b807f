/**
 * Which LoRA branches of a graph go into their layers in a merge.
 *
 * An adapter on a layer takes the place of the branch there. `fold` takes the others with the factors that the graph
 * holds. Branches that wait for factors from outside are empty without an adapter, and go with any merge.
 */

import type { Adapter } from "../adapters/adapter.ts";
import { adaptersOfBranches, holdsFactors, layerName } from "../adapters/branch-adapter.ts";
import type { ResolvedAdapter } from "../adapters/edit.ts";
import { UsageError } from "../core/errors.ts";
import { quote, summarise } from "../core/text.ts";
import type { Model } from "../formats/model.ts";
import { findBranches, type LoraBranch } from "../formats/onnx/branches/find-branches.ts";
import { type BranchRemoval, planRemoval } from "../formats/onnx/branches/removal.ts";

export interface Folding {
  readonly removal: BranchRemoval;
  /** What the graph holds itself, as far as it is folded. */
  readonly own: readonly Adapter[];
  /** Layer of an own branch → its tensor, which needs no name of a parameter. */
  readonly layers: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/**
 * @param resolved the adapters that were given, on this base
 * @param all fold the branches that no adapter is for, too
 */
export function planFolding(model: Model, resolved: readonly ResolvedAdapter[], all: boolean): Folding | undefined {
  const branches = model.graph === undefined ? [] : findBranches(model.graph);
  if (model.graph === undefined || branches.length === 0) {
    if (!all) return undefined;
    throw new UsageError("no LoRA branches to fold: expected sums of a layer and a product with two factors", {
      subject: model.path,
    });
  }
  const edited = new Set(resolved.flatMap(({ edits }) => edits.map(({ tensor }) => tensor)));
  const covered = branches.filter(({ base }) => edited.has(base.held.parameter.name));
  const others = branches.filter((branch) => !covered.includes(branch));
  const own = all ? others.filter(holdsFactors) : [];
  const empty = others.filter((branch) => !holdsFactors(branch));
  const staying = all ? [] : others.filter(holdsFactors);
  return {
    removal: planRemoval(model.graph.model, [...covered, ...own, ...empty]),
    own: adaptersOfBranches(model.path, own),
    layers: new Map(own.map((branch) => [layerName(branch), branch.base.held.parameter.name])),
    warnings: [
      ...line(covered.filter(holdsFactors), "the adapter takes the place of the branch in the graph"),
      ...line(empty, "the branch waits for factors and gets none: it goes"),
      ...line(staying, "the branch stays in the graph, --fold takes it too"),
    ],
  };
}

function line(branches: readonly LoraBranch[], what: string): string[] {
  return branches.length === 0
    ? []
    : [
        `${what}: ${summarise(
          branches.map((branch) => quote(layerName(branch))),
          5,
        )}`,
      ];
}
