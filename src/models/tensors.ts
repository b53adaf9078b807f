/**
 * A description → the tensors that it needs, by name.
 */

import type { Shape } from "../core/shape.ts";
import type {
  AttentionDescription,
  BlockDescription,
  LinearDescription,
  MlpDescription,
  ModelDescription,
  NormDescription,
} from "./description.ts";

/** Shapes of all tensors but the head's, which a tied model need not have. */
export function expectedTensors(model: ModelDescription): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const table of [model.embedding, model.positions]) {
    if (table !== undefined) shapes.set(table.weight, [table.rows, table.width]);
  }
  for (const linear of model.blocks.flatMap(linearsOf)) addLinear(shapes, linear);
  for (const norm of [...model.blocks.flatMap(normsOf), model.norm]) {
    shapes.set(norm.weight, [norm.size]);
    if (norm.bias !== undefined) shapes.set(norm.bias, [norm.size]);
  }
  return shapes;
}

export function addLinear(shapes: Map<string, Shape>, linear: LinearDescription): void {
  const { kind, inputs, outputs } = linear;
  shapes.set(linear.weight, kind === "linear" ? [outputs, inputs] : [inputs, outputs]);
  if (linear.bias !== undefined) shapes.set(linear.bias, [outputs]);
}

function linearsOf({ attention, mlp }: BlockDescription): readonly LinearDescription[] {
  return [...projectionsOf(attention), attention.output, ...mlpLinears(mlp)];
}

function projectionsOf({ projection }: AttentionDescription): readonly LinearDescription[] {
  return projection.kind === "fused" ? [projection.all] : [projection.query, projection.key, projection.value];
}

function mlpLinears({ layers }: MlpDescription): readonly LinearDescription[] {
  switch (layers.kind) {
    case "gated":
      return [layers.gate, layers.up, layers.down];
    case "fused":
      return [layers.gateUp, layers.down];
    case "plain":
      return [layers.up, layers.down];
  }
}

function normsOf(block: BlockDescription): readonly NormDescription[] {
  const { attention, attentionNorm, attentionPostNorm, mlpNorm, mlpPostNorm } = block;
  const all = [attentionNorm, attention.queryNorm, attention.keyNorm, attentionPostNorm, mlpNorm, mlpPostNorm];
  return all.filter((norm) => norm !== undefined);
}
