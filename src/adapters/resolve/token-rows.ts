/**
 * Trained tokens (PEFT `trainable_tokens_delta`, which holds whole rows despite its name) → replaced rows of an embedding.
 */

import { formatShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { TokenRows } from "../adapter.ts";
import type { TensorEdit } from "../edit.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { graphParameter } from "./graph-layer.ts";
import { storageView } from "./placement.ts";
import { problem } from "./report.ts";

export function tokenRowsEdit({ name, indices, rows }: TokenRows, context: ResolveContext): TensorEdit {
  const tensor = findTarget(`${name}.weight`, context);
  if (tensor === undefined) throw notInBase(`${name}.weight`, context);
  // The same adapter may have resized the embedding first.
  const replaced = context.edits.find((edit) => edit.tensor === tensor.name && edit.replacement !== undefined);
  const view = replaced?.view ?? storageView(tensor);
  const axis = tokenAxis(tensor, context);
  const [count, size] = axis === "rows" ? view : [view[1], view[0]];
  if (rows.shape.length !== 2 || rows.shape[0] !== indices.length || rows.shape[1] !== size) {
    throw problem(
      `expected ${indices.length} rows of ${size} for ${quote(tensor.name)}, got ${formatShape(rows.shape)}`,
    );
  }
  const outside = indices.find((index) => !Number.isInteger(index) || index < 0 || index >= count);
  if (outside !== undefined) throw problem(`expected token indices from 0 to ${count - 1}, got ${outside}`);
  const steps = [{ kind: "replace-rows" as const, axis, weight: context.weight, indices, values: rows }];
  return { tensor: tensor.name, module: name, view, steps, bothEnds: false };
}

/** Where a tensor counts the tokens: an embedding or a head of [tokens, size], or its transpose in a graph. */
function tokenAxis(tensor: TensorData, context: ResolveContext): "rows" | "columns" {
  const axes = graphParameter(tensor, context)?.axes ?? "rows";
  if (axes === "rows" || axes === "out-in") return "rows";
  if (axes === "columns" || axes === "in-out") return "columns";
  throw problem(`the graph does not say which axis of ${quote(tensor.name)} counts the tokens`);
}
