/**
 * Attention as nodes: softmax(scale · q kᵀ + mask) v for each head.
 *
 * The queries that share a key are one matrix of `heads / keyHeads · s` rows, so that keys and values are never repeated.
 */

import type { Value } from "../../graph/call.ts";
import { softcapped } from "../../graph/functions.ts";
import type { AttentionDescription } from "../description.ts";
import type { LayerBuilder } from "./layer-builder.ts";
import { normalise } from "./norm.ts";
import { type Rotation, rotate } from "./rope.ts";

export interface AttentionContext {
  readonly block: number;
  /** i64 [2]: b and s */
  readonly sizes: Value;
  readonly rotation: Rotation | undefined;
  /** f32 [b, 1, s, s] */
  readonly mask: Value;
}

/** Rows [b · s, width] → the same */
export function buildAttention(
  layers: LayerBuilder,
  attention: AttentionDescription,
  x: Value,
  { block, sizes, rotation, mask }: AttentionContext,
): Value {
  const { g } = layers;
  const { heads, keyHeads, headSize, softcap } = attention;
  const shared = heads !== keyHeads;
  const parts = project(layers, attention, x, block, sizes);
  const turn = (value: Value) => (rotation === undefined ? value : rotate(g, value, rotation));
  const { queryNorm, keyNorm } = attention;
  const query = turn(queryNorm === undefined ? parts.query : normalise(layers, queryNorm, parts.query));
  const key = turn(keyNorm === undefined ? parts.key : normalise(layers, keyNorm, parts.key));

  const rows = g.transpose(attention.scale === 1 ? query : g.mul(query, g.scalar(attention.scale)), [0, 2, 1, 3]);
  const grouped = shared ? g.reshape(rows, [0, keyHeads, -1, headSize]) : rows;
  let scores = g.matMul(grouped, g.transpose(key, [0, 2, 3, 1]));
  if (softcap !== undefined) scores = softcapped(g, scores, softcap);
  if (shared) scores = g.reshape(scores, [0, heads, -1, 0]);
  const shares = g.softmax(g.add(scores, mask));
  const values = g.transpose(parts.value, [0, 2, 1, 3]);
  const mixed = g.matMul(shared ? g.reshape(shares, [0, keyHeads, -1, 0]) : shares, values);
  const perHead = shared ? g.reshape(mixed, [0, heads, -1, headSize]) : mixed;
  const joined = g.reshape(g.transpose(perHead, [0, 2, 1, 3]), [-1, heads * headSize]);
  return layers.linear(attention.output, joined, block);
}

/** [b, s, heads, head size] each */
interface Heads {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

function project(
  layers: LayerBuilder,
  { projection, heads, keyHeads, headSize }: AttentionDescription,
  x: Value,
  block: number,
  sizes: Value,
): Heads {
  const { g } = layers;
  const split = (value: Value, parts: readonly number[]): Heads => {
    const [query, key, third] = g.split(value, parts, -1);
    if (query === undefined || key === undefined || third === undefined) throw new Error("Split has no results");
    return { query, key, value: third };
  };
  const perHead = (rows: Value, count: number, size: number) =>
    g.reshape(rows, g.concat([sizes, g.integers([count, size])], 0));
  if (projection.kind === "fused" && projection.order === "heads") {
    return split(perHead(layers.linear(projection.all, x, block), heads, 3 * headSize), [headSize, headSize, headSize]);
  }
  const rows =
    projection.kind === "fused"
      ? split(
          layers.linear(projection.all, x, block),
          [heads, keyHeads, keyHeads].map((count) => count * headSize),
        )
      : {
          query: layers.linear(projection.query, x, block),
          key: layers.linear(projection.key, x, block),
          value: layers.linear(projection.value, x, block),
        };
  return {
    query: perHead(rows.query, heads, headSize),
    key: perHead(rows.key, keyHeads, headSize),
    value: perHead(rows.value, keyHeads, headSize),
  };
}
