/**
 * A description and its weights → nodes of a graph: token ids to hidden rows, and hidden rows to logits.
 *
 * No node names a batch size or a length: shapes keep sizes, take what is left, or are computed from the input's own. So
 * one description gives a training graph of fixed sizes and an inference graph of dynamic ones. Between blocks the
 * hidden rows are one matrix [b · s, width]; only attention sees b and s apart.
 */

import type { GraphBuilder } from "../graph/builder.ts";
import type { Value } from "../graph/call.ts";
import { softcapped } from "../graph/functions.ts";
import type { WeightLookup } from "./bind-weights.ts";
import { buildAttention } from "./build/attention.ts";
import { type AdaptLayer, LayerBuilder, type ModelLayer } from "./build/layer-builder.ts";
import { buildMask } from "./build/mask.ts";
import { buildMlp } from "./build/mlp.ts";
import { normalise } from "./build/norm.ts";
import { buildRotation, type Rotation } from "./build/rope.ts";
import type { BlockDescription, ModelDescription, RopeDescription } from "./description.ts";

export interface ModelInputs {
  /** i64 [b, s] */
  readonly inputIds: Value;
  /** i64 [b, s] */
  readonly positionIds: Value;
  /** i64 [b, s]: a token sees the tokens of the same number before it; 0 is padding. */
  readonly segmentIds: Value;
}

export interface BuildOptions {
  readonly adapt?: AdaptLayer;
  /** What no position id reaches, where it is known: rotations are then looked up, not computed. */
  readonly positionLimit?: number;
}

export interface BuiltModel {
  /** [b, s, width], after the last norm */
  readonly hidden: Value;
  /** Rows [n, width] → logits [n, vocabulary]. May be called again for other rows. */
  readonly project: (rows: Value) => Value;
  /** Every layer that can be adapted, the head too. */
  readonly layers: readonly ModelLayer[];
  /** Names of the hidden rows [b · s, width] before the first block, between blocks and after the last. */
  readonly boundaries: readonly string[];
}

export function buildModel(
  g: GraphBuilder,
  model: ModelDescription,
  weights: WeightLookup,
  { inputIds, positionIds, segmentIds }: ModelInputs,
  { adapt, positionLimit }: BuildOptions = {},
): BuiltModel {
  const layers = new LayerBuilder(g, weights, adapt);
  const sizes = g.shape(inputIds);
  const positions = { ids: positionIds, limit: positionLimit };
  const rotations = new Map<RopeDescription, Rotation>();
  const masks = new Map<number | undefined, Value>();

  let x = layers.embedding(model.embedding, inputIds);
  if (model.positions !== undefined) x = g.add(x, layers.embedding(model.positions, positionIds));
  const boundaries = [x.name];
  model.blocks.forEach((block, index) => {
    const { rope, window } = block.attention;
    const rotation = rope && (rotations.get(rope) ?? buildRotation(g, rope, positions, rotations.size));
    if (rope && rotation) rotations.set(rope, rotation);
    const mask = masks.get(window) ?? buildMask(g, segmentIds, window);
    masks.set(window, mask);
    x = buildBlock(layers, block, x, { block: index, sizes, rotation, mask });
    boundaries.push(x.name);
  });
  const rows = normalise(layers, model.norm, x);
  layers.declare(model.head, undefined);
  return {
    hidden: g.reshape(rows, g.concat([sizes, g.integers([model.width])], 0)),
    project: (rows) => {
      const logits = layers.linear(model.head, rows);
      const { softcap } = model;
      return softcap === undefined ? logits : softcapped(g, logits, softcap);
    },
    layers: layers.layers,
    boundaries,
  };
}

function buildBlock(
  layers: LayerBuilder,
  block: BlockDescription,
  x: Value,
  context: Parameters<typeof buildAttention>[3],
): Value {
  const { g } = layers;
  const { attentionPostNorm, mlpPostNorm } = block;
  const attended = buildAttention(layers, block.attention, normalise(layers, block.attentionNorm, x), context);
  const first = attentionPostNorm === undefined ? attended : normalise(layers, attentionPostNorm, attended);
  const middle = g.add(x, first);
  const seen = block.residual === "parallel" ? x : middle;
  const fed = buildMlp(layers, block.mlp, normalise(layers, block.mlpNorm, seen), context.block);
  return g.add(middle, mlpPostNorm === undefined ? fed : normalise(layers, mlpPostNorm, fed));
}
