/**
 * Rotary positions as nodes: cos and sin of position · frequency once for each kind, and the rotation of queries and keys.
 */

import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { RopeDescription } from "../description.ts";
import { frequencyPowers, ropeFrequencies } from "./rope-frequencies.ts";

/** [b, s, 1, pairs] each */
export interface Rotation {
  readonly cos: Value;
  readonly sin: Value;
}

export interface Positions {
  /** i64 [b, s] */
  readonly ids: Value;
  /** Every id is below this; `undefined` where that is not known. */
  readonly limit: number | undefined;
}

/** Looked up where the positions have a limit and the frequencies do not depend on them, else computed. */
export function buildRotation(g: GraphBuilder, rope: RopeDescription, positions: Positions, index: number): Rotation {
  const { scaling } = rope;
  const factor = scaling.kind === "yarn" || scaling.kind === "longrope" ? scaling.attentionFactor : 1;
  const { limit } = positions;
  const isFixed = scaling.kind !== "longrope" && (scaling.kind !== "dynamic" || (limit ?? 0) <= scaling.maxPositions);
  if (limit !== undefined && isFixed) {
    return lookUpRotation(g, rope, positions.ids, { limit, factor, name: `rotation.${index}` });
  }
  const numbers = g.cast(positions.ids, "f32");
  const angles = g.unsqueeze(g.mul(g.unsqueeze(numbers, [2]), frequencies(g, rope, numbers)), [2]);
  const multiplied = (value: Value) => (factor === 1 ? value : g.mul(value, g.scalar(factor)));
  return { cos: multiplied(g.cos(angles)), sin: multiplied(g.sin(angles)) };
}

/** GPUs compute cos and sin to 2⁻¹¹ at worst (WGSL's accuracy); tables made here are exact everywhere. */
function lookUpRotation(
  g: GraphBuilder,
  rope: RopeDescription,
  ids: Value,
  { limit, factor, name }: { readonly limit: number; readonly factor: number; readonly name: string },
): Rotation {
  const used = ropeFrequencies(rope, false);
  const table = (part: "cos" | "sin"): Value => {
    const values = new Float32Array(limit * used.length);
    for (let at = 0; at < values.length; at++) {
      // The angle is f32 in PyTorch.
      const angle = Math.fround(Math.floor(at / used.length) * (used[at % used.length] ?? 0));
      values[at] = factor * Math.fround(Math[part](angle));
    }
    const bytes = new Uint8Array(values.buffer);
    const shape = [limit, used.length];
    const source = { kind: "memory", bytes } as const;
    const rows = g.initialiser({ name: `${name}.${part}`, dtype: "f32", shape, byteLength: bytes.length, source });
    return g.unsqueeze(g.gather(rows, ids, 0), [2]);
  };
  return { cos: table("cos"), sin: table("sin") };
}

/** [pairs], or [1, 1, pairs] where they depend on the largest position of the batch. */
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
export function rotate(g: GraphBuilder, x: Value, { cos, sin }: Rotation): Value {
  const pairs = cos.shape.at(-1) ?? 0;
  const kept = (x.shape.at(-1) ?? 0) - 2 * pairs;
  const [left, right, rest] = g.split(x, kept === 0 ? [pairs, pairs] : [pairs, pairs, kept], -1);
  if (left === undefined || right === undefined) throw new Error("Split has no results");
  const turned = [g.sub(g.mul(left, cos), g.mul(right, sin)), g.add(g.mul(right, cos), g.mul(left, sin))];
  return g.concat(rest === undefined ? turned : [...turned, rest], -1);
}
