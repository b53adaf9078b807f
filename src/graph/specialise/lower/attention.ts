/**
 * Attention as products and a softmax: ONNX's Attention (opset 23) and ONNX Runtime's GroupQueryAttention.
 *
 * softmax(cap(scale · q·kᵀ) + mask) · v, where several query heads share a key head.
 * https://onnx.ai/onnx/operators/onnx__Attention.html,
 * https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
 */

import type { GraphBuilder } from "../../builder.ts";
import { floatAttribute, inputOf, intAttribute, invalid, type NodeCall, unsupported, type Value } from "../../call.ts";
import { softcapped } from "../../functions.ts";
import { additiveMask, causalMask, toHeads, toRows } from "./heads.ts";
import type { LowerCall, LowerRule } from "./lower-call.ts";
import { rotate } from "./rotary.ts";

interface Attended {
  /** [b, heads, s, size] */
  readonly query: Value;
  /** [b, key heads, t, size] */
  readonly key: Value;
  readonly value: Value;
  /** 0: the square root of the size, inverted. */
  readonly scale: number;
  /** 0: none. */
  readonly softcap: number;
  /** Added to the scores [b, heads, s, t]. */
  readonly masks: readonly Value[];
}

/** [b, heads, s, size]. Queries of one key head are rows of one product, so that keys are never repeated. */
function attend(call: NodeCall, g: GraphBuilder, { query, key, value, scale, softcap, masks }: Attended): Value {
  const [batch = 0, heads = 0, length = 0, size = 0] = query.shape;
  const [, keyHeads = 0, keys = 0] = key.shape;
  if (keyHeads === 0 || heads % keyHeads !== 0)
    throw invalid(call, `${heads} heads do not share ${keyHeads} key heads`);
  const rows = (heads / keyHeads) * length;
  const grouped = (x: Value, width: number) => (keyHeads === heads ? x : g.reshape(x, [batch, keyHeads, rows, width]));
  const scaled = g.mul(query, g.scalar(scale === 0 ? 1 / Math.sqrt(size) : scale));
  const products = g.matMul(grouped(scaled, size), g.transpose(key, [0, 1, 3, 2]));
  let scores = keyHeads === heads ? products : g.reshape(products, [batch, heads, length, keys]);
  if (softcap !== 0) scores = softcapped(g, scores, softcap);
  for (const mask of masks) scores = g.add(scores, mask);
  const mixed = g.matMul(grouped(g.softmax(scores), keys), value);
  return keyHeads === heads ? mixed : g.reshape(mixed, [batch, heads, length, value.shape.at(-1) ?? 0]);
}

/** Keys or values that were cached, and these. */
function withPast(g: GraphBuilder, past: Value | undefined, x: Value): Value {
  return past === undefined || past.shape[2] === 0 ? x : g.concat([past, x], 2);
}

/** Q, K, V, mask, past key, past value. */
const attention: LowerRule = (call) => {
  const { g } = call;
  if (call.inputs[6] !== undefined) throw unsupported(call, "lengths of keys that depend on the inputs");
  if (intAttribute(call, "right_window_size", -1) !== -1 || intAttribute(call, "left_window_size", -1) !== -1) {
    throw unsupported(call, "a window");
  }
  const x = inputOf(call, 0);
  const [queryHeads, keyHeads] = [intAttribute(call, "q_num_heads", 0), intAttribute(call, "kv_num_heads", 0)];
  const query = toHeads(call, g, x, queryHeads);
  const key = withPast(g, call.inputs[4], toHeads(call, g, inputOf(call, 1), keyHeads));
  const value = withPast(g, call.inputs[5], toHeads(call, g, inputOf(call, 2), keyHeads));
  const given = call.inputs[3];
  const masks = given === undefined ? [] : [additiveMask(g, given)];
  if (intAttribute(call, "is_causal", 0) !== 0) {
    const [queries = 0, keys = 0] = [query.shape[2], key.shape[2]];
    masks.push(additiveMask(g, causalMask(g, { queries, keys, offset: call.inputs[4]?.shape[2] ?? 0 })));
  }
  const scale = floatAttribute(call, "scale", 0);
  const y = attend(call, g, { query, key, value, scale, softcap: floatAttribute(call, "softcap", 0), masks });
  return [x.shape.length === 4 ? y : toRows(g, y), key, value];
};

/**
 * Query, key, value, past key, past value, lengths, total length, cos, sin, positions, bias. Padding is on the right,
 * where no token sees it, so the lengths do not matter.
 */
const groupQueryAttention: LowerRule = (call) => {
  const { g } = call;
  const past = call.inputs[3];
  if (past !== undefined && past.shape[2] !== 0) throw unsupported(call, "expected an empty cache");
  if (intAttribute(call, "smooth_softmax", 0) === 1 || call.inputs[11] !== undefined) {
    throw unsupported(call, "a softmax with a sink");
  }
  const [heads, keyHeads] = [intAttribute(call, "num_heads", 0), intAttribute(call, "kv_num_heads", 0)];
  const [q, k, v] = separated(call, heads, keyHeads).map((x, index) =>
    toHeads(call, g, x, index === 0 ? heads : keyHeads),
  );
  if (q === undefined || k === undefined || v === undefined) throw invalid(call, "queries, keys or values are missing");
  const turned = intAttribute(call, "do_rotary", 0) === 0 ? [q, k] : turn(call, [q, k]);
  const [query = q, key = k] = turned;
  const length = query.shape[2] ?? 0;
  const window = intAttribute(call, "local_window_size", -1);
  const shape = { queries: length, keys: length, offset: 0, ...(window > 0 && { window }) };
  const masks = [additiveMask(g, causalMask(g, shape))];
  const bias = call.inputs[10];
  if (bias !== undefined) masks.push(bias);
  const [scale, softcap] = [floatAttribute(call, "scale", 0), floatAttribute(call, "softcap", 0)];
  return [toRows(g, attend(call, g, { query, key, value: v, scale, softcap, masks })), key, v];
};

/** Queries, keys and values, which may lie side by side in the first input. */
function separated(call: LowerCall, heads: number, keyHeads: number): readonly Value[] {
  const first = inputOf(call, 0);
  if (call.inputs[1] !== undefined) return [first, inputOf(call, 1), inputOf(call, 2)];
  const size = (first.shape.at(-1) ?? 0) / (heads + 2 * keyHeads);
  if (!Number.isInteger(size)) throw invalid(call, `expected ${heads} and 2 · ${keyHeads} heads, got ${first.shape}`);
  return call.g.split(first, [heads * size, keyHeads * size, keyHeads * size], -1);
}

/** Queries and keys, turned by the first rows of the tables, or by the rows that the positions name. */
function turn(call: LowerCall, heads: readonly Value[]): readonly Value[] {
  const { g } = call;
  const positions = call.inputs[9];
  const length = heads[0]?.shape[2] ?? 0;
  const pick = (table: Value) =>
    positions === undefined ? g.slice(table, [0], [length], [0]) : g.gather(table, positions, 0);
  const [cos, sin] = [pick(inputOf(call, 7)), pick(inputOf(call, 8))];
  const interleaved = intAttribute(call, "rotary_interleaved", 0) !== 0;
  return heads.map((x) => rotate(call, g, x, { cos, sin, interleaved }));
}

export const ATTENTION: Readonly<Record<string, LowerRule>> = {
  Attention: attention,
  "com.microsoft.GroupQueryAttention": groupQueryAttention,
};
