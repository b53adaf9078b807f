/**
 * Rotary positions as nodes: cos and sin of position · frequency once for each kind, and the rotation of queries and keys.
 */

import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { RopeDescription } from "../description.ts";
import { frequencyPowers, ropeFrequencies } from "./rope-frequencies.ts";

/** [b, s, 1, size / 2] each */
export interface Rotation {
  readonly size: number;
  readonly cos: Value;
  readonly sin: Value;
}

/** @param positions f32 [b, s] */
export function buildRotation(g: GraphBuilder, rope: RopeDescription, positions: Value): Rotation {
  const { scaling, size } = rope;
  const angles = g.unsqueeze(g.mul(g.unsqueeze(positions, [2]), frequencies(g, rope, positions)), [2]);
  const factor = scaling.kind === "yarn" || scaling.kind === "longrope" ? scaling.attentionFactor : 1;
  const multiplied = (value: Value) => (factor === 1 ? value : g.mul(value, g.scalar(factor)));
  return { size, cos: multiplied(g.cos(angles)), sin: multiplied(g.sin(angles)) };
}

/** [size / 2], or [1, 1, size / 2] where they depend on the largest position of the batch. */
function frequencies(g: GraphBuilder, rope: RopeDescription, positions: Value): Value {
  const { theta, size, scaling } = rope;
  const table = (isLong: boolean) => g.floats(ropeFrequencies(rope, isLong));
  const length = () => g.unsqueeze(g.add(g.reduceMax(positions, [0, 1]), g.scalar(1)), [2]);
  switch (scaling.kind) {
    case "dynamic": {
      // θ' = θ (f · length / max − (f − 1))^(size / (size − 2)), with at least `maxPositions` as length
      const { factor, maxPositions } = scaling;
      const used = g.max(length(), g.scalar(maxPositions));
      const growth = g.sub(g.mul(used, g.scalar(factor / maxPositions)), g.scalar(factor - 1));
      const base = g.mul(g.pow(growth, g.scalar(size / (size - 2))), g.scalar(theta));
      return g.reciprocal(g.pow(base, g.floats(frequencyPowers(size))));
    }
    case "longrope":
      return g.where(g.greater(length(), g.scalar(scaling.originalPositions)), table(true), table(false));
    default:
      return table(false);
  }
}

/** Rotates the first elements of each head of x [b, s, heads, head size]. */
export function rotate(g: GraphBuilder, x: Value, { size, cos, sin }: Rotation): Value {
  const half = size / 2;
  const kept = (x.shape.at(-1) ?? 0) - size;
  const [left, right, rest] = g.split(x, kept === 0 ? [half, half] : [half, half, kept], -1);
  if (left === undefined || right === undefined) throw new Error("Split has no results");
  const turned = [g.sub(g.mul(left, cos), g.mul(right, sin)), g.add(g.mul(right, cos), g.mul(left, sin))];
  return g.concat(rest === undefined ? turned : [...turned, rest], -1);
}
