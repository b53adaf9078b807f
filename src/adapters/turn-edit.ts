/**
 * An edit of a tensor → the same edit of its transpose, for two ends of a tie that a graph stores in different orders.
 */

import type { LowRankStep, MatrixProduct, Step, TensorEdit } from "./edit.ts";
import { type MatrixView, matrixOf, transpose } from "./matrix.ts";

/** @param edit of a tensor [rows, columns] */
export function turnEdit<Edit extends TensorEdit>(edit: Edit) {
  const { replacement, view, steps, ...rest } = edit;
  const start: Step[] =
    replacement === undefined ? [] : [{ kind: "assign", values: transpose(matrixOf(replacement, ...view)) }];
  return { ...rest, view: [view[1], view[0]] as const, steps: [...start, ...steps.map(turnStep)] };
}

function turnStep(step: Step): Step {
  switch (step.kind) {
    case "low-rank":
      return turnLowRank(step);
    case "add":
      // A vector or a whole matrix: nothing else is ever meant for both ends.
      if (step.rowStart !== 0) throw new RangeError("only whole tensors can be turned");
      return { ...step, values: transpose(step.values) };
    case "assign":
      return { ...step, values: transpose(step.values) };
    case "hadamard":
      return { ...step, first: turnProduct(step.first), second: turnProduct(step.second) };
    case "kronecker":
      return { ...step, first: turnFactor(step.first), second: turnFactor(step.second) };
    case "scale":
    case "replace-rows":
      return { ...step, axis: otherAxis(step.axis) };
    case "magnitude":
      return {
        ...step,
        axis: otherAxis(step.axis),
        inner: step.inner.map((inner) => turnStep(inner) as (typeof step.inner)[number]),
      };
    case "residual":
      return { ...step, transposed: !step.transposed };
  }
}

function turnLowRank({ left, right, rowStart, columnStart, rowFactors, columnFactors, ...rest }: LowRankStep): Step {
  return {
    ...rest,
    rowStart: columnStart,
    columnStart: rowStart,
    left: transpose(right),
    right: transpose(left),
    ...(columnFactors && { rowFactors: columnFactors }),
    ...(rowFactors && { columnFactors: rowFactors }),
  };
}

function turnFactor(factor: MatrixView | MatrixProduct): MatrixView | MatrixProduct {
  return "left" in factor ? turnProduct(factor) : transpose(factor);
}

function turnProduct({ left, right }: MatrixProduct): MatrixProduct {
  return { left: transpose(right), right: transpose(left) };
}

function otherAxis(axis: "rows" | "columns"): "rows" | "columns" {
  return axis === "rows" ? "columns" : "rows";
}
