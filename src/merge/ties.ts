/**
 * Tied embeddings in a plan: who edits which end, and whether the two ends stay one.
 *
 * A tied model computes its input embedding and its output head from one tensor. PEFT adds a delta to one of the two
 * uses only, so a faithful merge must part them; where both ends get the same edit, the tie is kept.
 */

import type { TiedEmbedding } from "../adapters/architecture/architecture.ts";
import { turnEdit } from "../adapters/turn-edit.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { OwnedEdit } from "./combine/join-edits.ts";

export interface RoutedEdits {
  /** Each edit addressed to a tensor that the output shall hold. */
  readonly routed: readonly OwnedEdit[];
  /** The ends part. */
  readonly unties: boolean;
}

/** Addresses every edit of a tied end: to the stored tensor while the tie holds, else to each end of its own. */
export function routeTiedEdits(
  edits: readonly OwnedEdit[],
  tie: TiedEmbedding | undefined,
  stored: ReadonlyMap<string, TensorData>,
): RoutedEdits {
  if (tie === undefined) return { routed: edits, unties: false };
  const ends = [tie.input, tie.output];
  const tied = edits.filter((edit) => ends.includes(edit.tensor));
  if (tied.length === 0) return { routed: edits, unties: false };

  const unties = tied.some((edit) => !edit.bothEnds);
  // While the tie holds, only the ends that the file stores are written; once it breaks, both must exist.
  const targets = unties ? ends : ends.filter((end) => stored.has(end));
  const routed = edits.flatMap((edit) => {
    if (!ends.includes(edit.tensor)) return [edit];
    if (!edit.bothEnds) return [edit];
    return targets.map((tensor) => ({ ...(tie.isTurned && tensor !== edit.tensor ? turnEdit(edit) : edit), tensor }));
  });
  // The end that nobody edits still has to be written out, as the base had it.
  for (const end of unties ? ends : []) {
    const first = tied[0];
    if (first !== undefined && !stored.has(end) && !routed.some((edit) => edit.tensor === end)) {
      const { module, view, adapter } = first;
      routed.push({ tensor: end, module, view, steps: [], bothEnds: false, adapter });
    }
  }
  return { routed, unties: unties && !tie.isApart };
}
