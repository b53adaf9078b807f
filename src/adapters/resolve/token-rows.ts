/**
 * Trained tokens (PEFT `trainable_tokens_delta`, which holds whole rows despite its name) → replaced rows of an embedding.
 */

import { formatShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { TokenRows } from "../adapter.ts";
import type { TensorEdit } from "../edit.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { storageView } from "./placement.ts";
import { problem } from "./report.ts";

export function tokenRowsEdit({ name, indices, rows }: TokenRows, context: ResolveContext): TensorEdit {
  const tensor = findTarget(`${name}.weight`, context);
  if (tensor === undefined) throw notInBase();
  // The same adapter may have resized the embedding first.
  const replaced = context.edits.find((edit) => edit.tensor === tensor.name && edit.replacement !== undefined);
  const view = replaced?.view ?? storageView(tensor);
  if (rows.shape.length !== 2 || rows.shape[0] !== indices.length || rows.shape[1] !== view[1]) {
    throw problem(
      `expected ${indices.length} rows of ${view[1]} for ${quote(tensor.name)}, got ${formatShape(rows.shape)}`,
    );
  }
  const outside = indices.find((index) => !Number.isInteger(index) || index < 0 || index >= view[0]);
  if (outside !== undefined) throw problem(`expected token indices from 0 to ${view[0] - 1}, got ${outside}`);
  const steps = [{ kind: "replace-rows" as const, weight: context.weight, indices, values: rows }];
  return { tensor: tensor.name, module: name, view, steps, bothEnds: false };
}
