/**
 * Tensors with several names in a plan: who edits which of them, and whether they stay one.
 *
 * A tied model computes its input embedding and its output head from one tensor. PEFT adds a delta to one of the uses
 * only, so a faithful merge must part them; where all ends get the same edit, the tie is kept.
 */

import type { Tie } from "../adapters/architecture/architecture.ts";
import { storageView } from "../adapters/resolve/placement.ts";
import { turnEdit } from "../adapters/turn-edit.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { OwnedEdit } from "./combine/join-edits.ts";

export interface RoutedEdits {
  /** Each edit addressed to a tensor that the output shall hold. */
  readonly routed: readonly OwnedEdit[];
  /** The ends of the embedding part. */
  readonly unties: boolean;
}

/** Addresses every edit of a tied end: to the stored tensor while the tie holds, else to each end of its own. */
export function routeTiedEdits(
  edits: readonly OwnedEdit[],
  ties: readonly Tie[],
  stored: ReadonlyMap<string, TensorData>,
): RoutedEdits {
  const parted = ties.filter(({ ends }) => edits.some((edit) => !edit.bothEnds && ends.includes(edit.tensor)));
  const embedding = parted.find((tie) => tie.of === "embedding");
  const routed = ties.reduce((all, tie) => {
    // Once config.json says that nothing is tied, every name must be stored.
    const parts = embedding !== undefined || parted.includes(tie);
    return routeEdits(all, tie, parts ? tie.ends : tie.ends.filter((end) => stored.has(end)));
  }, edits);
  if (parted.length === 0) return { routed, unties: false };
  return {
    routed: [...routed, ...unedited(routed, embedding === undefined ? parted : ties, stored)],
    unties: embedding !== undefined && !embedding.isApart,
  };
}

function routeEdits(
  edits: readonly OwnedEdit[],
  { ends, isTurned }: Tie,
  targets: readonly string[],
): readonly OwnedEdit[] {
  return edits.flatMap((edit) => {
    if (!ends.includes(edit.tensor) || !edit.bothEnds) return [edit];
    return targets.map((tensor) => ({ ...(isTurned && tensor !== edit.tensor ? turnEdit(edit) : edit), tensor }));
  });
}

/** The ends that nobody edits still have to be written out, as the base had them. */
function unedited(
  edits: readonly OwnedEdit[],
  ties: readonly Tie[],
  stored: ReadonlyMap<string, TensorData>,
): OwnedEdit[] {
  const edited = new Set(edits.map(({ tensor }) => tensor));
  return ties.flatMap(({ ends }) => {
    const held = ends.map((end) => stored.get(end)).find((tensor) => tensor !== undefined);
    const cause = edits.find(({ tensor }) => ends.includes(tensor)) ?? edits[0];
    if (held === undefined || cause === undefined) return [];
    const { module, adapter } = cause;
    const missing = ends.filter((end) => !stored.has(end) && !edited.has(end));
    return missing.map((tensor) => ({ tensor, module, view: storageView(held), steps: [], bothEnds: false, adapter }));
  });
}
