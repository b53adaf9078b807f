/**
 * Rotary position embedding: pairs of elements turned by angles whose cos and sin are given.
 *
 * ONNX's RotaryEmbedding (opset 23) and ONNX Runtime's, whose inputs come in another order.
 */

import type { GraphBuilder } from "../../builder.ts";
import { floatAttribute, inputOf, intAttribute, invalid, type NodeCall, unsupported, type Value } from "../../call.ts";
import { toHeads, toRows } from "./heads.ts";
import type { LowerCall, LowerRule } from "./lower-call.ts";

export interface Rotation {
  /** [b, s, pairs] or [s, pairs] */
  readonly cos: Value;
  readonly sin: Value;
  /** Pairs are neighbours instead of an element of each half. */
  readonly interleaved: boolean;
}

/** [b, heads, s, size], whose first 2 · pairs elements turn. */
export function rotate(call: NodeCall, g: GraphBuilder, x: Value, { cos, sin, interleaved }: Rotation): Value {
  const [batch = 0, heads = 0, length = 0, size = 0] = x.shape;
  const pairs = cos.shape.at(-1) ?? 0;
  if (2 * pairs > size) throw invalid(call, `${pairs} pairs do not fit into heads of ${size}`);
  const [turned = x, rest] = 2 * pairs === size ? [x] : g.split(x, [2 * pairs, size - 2 * pairs], -1);
  const [c, s] = [overHeads(g, cos), overHeads(g, sin)];
  const [a, b] = interleaved
    ? g.split(g.reshape(turned, [batch, heads, length, pairs, 2]), [1, 1], -1).map((one) => g.squeeze(one, [-1]))
    : g.split(turned, [pairs, pairs], -1);
  if (a === undefined || b === undefined) throw invalid(call, "nothing to turn");
  const real = g.sub(g.mul(a, c), g.mul(b, s));
  const imaginary = g.add(g.mul(a, s), g.mul(b, c));
  const joined = interleaved
    ? g.reshape(g.concat([g.unsqueeze(real, [-1]), g.unsqueeze(imaginary, [-1])], -1), turned.shape)
    : g.concat([real, imaginary], -1);
  return rest === undefined ? joined : g.concat([joined, rest], -1);
}

/** [b, s, pairs] → [b, 1, s, pairs] */
function overHeads(g: GraphBuilder, table: Value): Value {
  return table.shape.length === 3 ? g.unsqueeze(table, [1]) : table;
}

/** X of 3 or 4 axes, the rest as in the node. */
function rotated(call: LowerCall, tables: Omit<Rotation, "interleaved">): readonly Value[] {
  const { g } = call;
  const x = inputOf(call, 0);
  const partial = intAttribute(call, "rotary_embedding_dim", 0);
  if (partial !== 0 && partial !== 2 * (tables.cos.shape.at(-1) ?? 0)) {
    throw invalid(call, `expected tables for ${partial} elements, got ${2 * (tables.cos.shape.at(-1) ?? 0)}`);
  }
  const interleaved = intAttribute(call, "interleaved", 0) !== 0;
  const y = rotate(call, g, toHeads(call, g, x, intAttribute(call, "num_heads", 0)), { ...tables, interleaved });
  return [x.shape.length === 4 ? y : toRows(g, y)];
}

/** X, cos, sin, positions: tables of [b, s, pairs], or rows of tables [positions, pairs]. */
const rotaryEmbedding: LowerRule = (call) => {
  const { g } = call;
  const positions = call.inputs[3];
  const pick = (table: Value) => (positions === undefined ? table : g.gather(table, positions, 0));
  return rotated(call, { cos: pick(inputOf(call, 1)), sin: pick(inputOf(call, 2)) });
};

/** X, positions [b, s], cos, sin. */
const runtimeRotaryEmbedding: LowerRule = (call) => {
  const { g } = call;
  const positions = inputOf(call, 1);
  if (positions.shape.length !== 2) throw unsupported(call, "expected a position for each token");
  if (floatAttribute(call, "scale", 1) !== 1) throw unsupported(call, "expected a scale of 1");
  const pick = (table: Value) => g.gather(table, positions, 0);
  return rotated(call, { cos: pick(inputOf(call, 2)), sin: pick(inputOf(call, 3)) });
};

export const ROTARY: Readonly<Record<string, LowerRule>> = {
  RotaryEmbedding: rotaryEmbedding,
  "com.microsoft.RotaryEmbedding": runtimeRotaryEmbedding,
};
