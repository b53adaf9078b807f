/**
 * Edits of a tied embedding that are meant for both of its ends.
 *
 * A delta belongs to the end that was adapted, and merging it parts the two. The tie holds where the adapter has the same
 * for both ends (`ensure_weight_tying`, resized vocabularies), for trained tokens, which PEFT shares between tied ends
 * whatever else is done to one of them, and for a resized vocabulary that was saved once, since both ends must have the same number of rows.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import type { TiedEmbedding } from "../architecture/architecture.ts";
import { replacesWhole, type Step, type TensorEdit } from "../edit.ts";
import { sameNumbers } from "../same-numbers.ts";
import { turnEdit } from "../turn-edit.ts";
import { sameMatrix } from "./tensor-values.ts";

/**
 * The edits with `bothEnds` set where it is due, and without the second of two equal ones.
 *
 * @param rows of the tied tensor in the base
 */
export function shareTiedEdits(
  edits: readonly TensorEdit[],
  tie: TiedEmbedding | undefined,
  rows: number,
  keepsTie: boolean,
): TensorEdit[] {
  if (tie === undefined) return [...edits];
  const input = edits.filter((edit) => edit.tensor === tie.input);
  const output = edits.filter((edit) => edit.tensor === tie.output);
  const others = edits.filter((edit) => edit.tensor !== tie.input && edit.tensor !== tie.output);
  if (input.length === 0 && output.length === 0) return others;

  if (input.length > 0 && output.length > 0) {
    const pairs = input.map((edit, index) => [edit, output[index]] as const);
    const equal = input.length === output.length && pairs.every(([a, b]) => b !== undefined && sameEdit(a, b));
    if (equal) return [...others, ...input.map(onBothEnds)];
    return [...others, ...withRowsOf(output, input, tie), ...withRowsOf(input, output, tie)];
  }
  const own = [...input, ...output];
  if (keepsTie) return [...others, ...own.map(onBothEnds)];
  const otherEnd = input.length > 0 ? tie.output : tie.input;
  return [...others, ...own.flatMap((edit) => shareOneEnd(edit, otherEnd, rows))];
}

/** Rows that were trained at the other end come first: PEFT wraps them into the layer that the delta is added to. */
function withRowsOf(
  other: readonly TensorEdit[],
  own: readonly TensorEdit[],
  tie: TiedEmbedding,
): readonly TensorEdit[] {
  const [first, ...rest] = own;
  if (first === undefined || replacesWhole(first) || own.some(replacesRows)) return own;
  const rows = other.filter(replacesRows).flatMap((edit) => (tie.isTurned ? turnEdit(edit) : edit).steps);
  return [{ ...first, steps: [...rows, ...first.steps] }, ...rest];
}

function replacesRows({ steps }: TensorEdit): boolean {
  return steps.length > 0 && steps.every(({ kind }) => kind === "replace-rows");
}

function shareOneEnd(edit: TensorEdit, otherEnd: string, rows: number): TensorEdit[] {
  if (replacesRows(edit)) return [onBothEnds(edit)];
  if (edit.replacement === undefined || edit.view[0] === rows) return [edit];
  if (edit.steps.length === 0) return [onBothEnds(edit)];
  // The delta is of one end, the new rows are of both.
  return [edit, { ...edit, tensor: otherEnd, steps: [] }];
}

function onBothEnds(edit: TensorEdit): TensorEdit {
  return { ...edit, bothEnds: true };
}

function sameEdit(a: TensorEdit, b: TensorEdit): boolean {
  return (
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
