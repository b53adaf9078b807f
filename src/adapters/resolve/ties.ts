/**
 * Edits of a tensor with several names, such as the two ends of a tied embedding, that are meant for all of them.
 *
 * A delta belongs to the end that was adapted, and merging it parts the ends. The tie holds where the adapter has the same
 * for each (`ensure_weight_tying`, resized vocabularies), for trained tokens, which PEFT shares between tied ends
 * whatever else is done to one of them, for a resized vocabulary that was saved once, since all ends must have the same
 * number of rows, and for names that stand for all (`shared` of encoder and decoder).
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import type { Tie } from "../architecture/architecture.ts";
import { replacesWhole, type Step, type TensorEdit } from "../edit.ts";
import { sameNumbers } from "../same-numbers.ts";
import { turnEdit } from "../turn-edit.ts";
import { sameDelta } from "./same-delta.ts";
import { sameMatrix } from "./tensor-values.ts";

/**
 * The edits with `bothEnds` set where it is due, and without the others of equal ones.
 *
 * @param tensors of the base, under every name
 */
export function shareTiedEdits(
  edits: readonly TensorEdit[],
  ties: readonly Tie[],
  tensors: ReadonlyMap<string, TensorData>,
  keepsTie: boolean,
): TensorEdit[] {
  return ties.reduce(
    (all, tie) => shareEdits(all, tie, tensors.get(tie.ends[0] ?? "")?.shape[0] ?? 0, keepsTie),
    [...edits],
  );
}

function shareEdits(edits: readonly TensorEdit[], tie: Tie, rows: number, keepsTie: boolean): TensorEdit[] {
  const others = edits.filter(({ tensor }) => !tie.ends.includes(tensor));
  const lists = listsOf(edits, tie);
  const [[end, first] = ["", []], ...rest] = lists;
  if (rest.length === 0) {
    if (keepsTie || tie.common.includes(end)) return [...others, ...first.map(onBothEnds)];
    const missing = tie.ends.filter((name) => name !== end);
    return [...others, ...first.flatMap((edit) => shareOneEnd(edit, missing, rows, tie))];
  }
  const used = tie.ends.filter((name) => !tie.common.includes(name) || tie.common.length === tie.ends.length);
  const isWhole = keepsTie || used.every((name) => lists.has(name)) || first.every((edit) => sharesRows(edit, tie));
  const isSame = (list: readonly TensorEdit[]) => sameEdits(first, list) || (keepsTie && sameDeltas(first, list));
  if (isWhole && rest.every(([, list]) => isSame(list))) return [...others, ...first.map(onBothEnds)];
  const parted = tie.ends.flatMap((name) => {
    const own = lists.get(name);
    const theirs = [...lists].flatMap(([other, list]) => (other === name ? [] : list));
    return own === undefined ? withoutOwn(name, theirs, rows, tie) : withRowsOf(theirs, own, tie);
  });
  return [...others, ...parted];
}

/** The edits of each name that has any; those of a name that stands for all count for every name without its own. */
function listsOf(edits: readonly TensorEdit[], { ends, common }: Tie): ReadonlyMap<string, readonly TensorEdit[]> {
  const lists = new Map<string, readonly TensorEdit[]>();
  for (const end of ends) {
    const own = edits.filter(({ tensor }) => tensor === end);
    if (own.length > 0) lists.set(end, own);
  }
  const shared = common.map((name) => lists.get(name)).find((list) => list !== undefined);
  if (shared === undefined || lists.size === 1) return lists;
  return new Map(ends.map((end) => [end, lists.get(end) ?? shared.map((edit) => ({ ...edit, tensor: end }))]));
}

/** Rows that were trained at another end come first: PEFT wraps them into the layer that the delta is added to. */
function withRowsOf(theirs: readonly TensorEdit[], own: readonly TensorEdit[], tie: Tie): readonly TensorEdit[] {
  const [first, ...rest] = own;
  if (first === undefined || replacesWhole(first) || own.some(replacesRows)) return own;
  const rows = theirs.filter((edit) => sharesRows(edit, tie)).slice(0, 1);
  const steps = rows.flatMap((edit) => (tie.isTurned ? turnEdit(edit) : edit).steps);
  return [{ ...first, steps: [...steps, ...first.steps] }, ...rest];
}

/** What several others have and one end needs: new rows of the vocabulary, else rows that were trained. */
function withoutOwn(end: string, theirs: readonly TensorEdit[], rows: number, tie: Tie): TensorEdit[] {
  const shared = theirs.find((edit) => isResized(edit, rows)) ?? theirs.find((edit) => sharesRows(edit, tie));
  if (shared === undefined) return [];
  return [{ ...shared, tensor: end, steps: replacesRows(shared) ? shared.steps : [] }];
}

function replacesRows({ steps }: TensorEdit): boolean {
  return steps.length > 0 && steps.every(({ kind }) => kind === "replace-rows");
}

/** PEFT shares the rows of the model's input embedding with what is tied to it, not those of one side's own embedding. */
function sharesRows(edit: TensorEdit, { common }: Tie): boolean {
  return replacesRows(edit) && (common.length === 0 || common.includes(edit.tensor));
}

function isResized({ replacement, view }: TensorEdit, rows: number): boolean {
  return replacement !== undefined && view[0] !== rows;
}

function shareOneEnd(edit: TensorEdit, missing: readonly string[], rows: number, tie: Tie): TensorEdit[] {
  if (sharesRows(edit, tie)) return [onBothEnds(edit)];
  if (!isResized(edit, rows)) return [edit];
  if (edit.steps.length === 0) return [onBothEnds(edit)];
  // The delta is of one end, the new rows are of all.
  return [edit, ...missing.map((tensor) => ({ ...edit, tensor, steps: [] }))];
}

function onBothEnds(edit: TensorEdit): TensorEdit {
  return { ...edit, bothEnds: true };
}

function sameEdits(a: readonly TensorEdit[], b: readonly TensorEdit[]): boolean {
  return a.length === b.length && a.every((edit, index) => sameEdit(edit, b[index]));
}

/** PEFT holds the factors of ends that it ties once, so the file has one delta, however it writes its factors. */
function sameDeltas([a, ...moreOfA]: readonly TensorEdit[], [b, ...moreOfB]: readonly TensorEdit[]): boolean {
  if (a === undefined || b === undefined || moreOfA.length > 0 || moreOfB.length > 0) return false;
  return sameTensor(a.replacement, b.replacement) && sameDelta(a.steps, b.steps);
}

function sameEdit(a: TensorEdit, b: TensorEdit | undefined): boolean {
  return (
    b !== undefined &&
    sameTensor(a.replacement, b.replacement) &&
    a.steps.length === b.steps.length &&
    a.steps.every((step, index) => sameStep(step, b.steps[index]))
  );
}

function sameStep(a: Step, b: Step | undefined): boolean {
  if (a.kind === "low-rank" && b?.kind === "low-rank") {
    const sameFactors =
      sameTensor(a.diagonal, b.diagonal) &&
      sameTensor(a.rowFactors, b.rowFactors) &&
      sameTensor(a.columnFactors, b.columnFactors);
    return a.scale === b.scale && sameFactors && sameMatrix(a.left, b.left) && sameMatrix(a.right, b.right);
  }
  if (a.kind === "replace-rows" && b?.kind === "replace-rows") {
    const sameIndices = a.indices.length === b.indices.length && a.indices.every((row, at) => row === b.indices[at]);
    return sameIndices && sameTensor(a.values, b.values);
  }
  return false;
}

function sameTensor(a: TensorData | undefined, b: TensorData | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameNumbers(a, b);
}
