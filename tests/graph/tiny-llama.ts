/** A Llama of two layers as a graph, the way its forward is written in transformers; weights by their names there. */

import type { TensorData } from "../../src/formats/tensor-store.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/call.ts";

const [LAYERS, HEADS, KV_HEADS, HEAD_SIZE, WIDTH] = [2, 4, 2, 4, 16];

export interface TinyLlama {
  readonly g: GraphBuilder;
  /** [batch, length, width], after the last norm. */
  readonly hidden: Value;
}

/** Inputs: `ids` i64 [batch, length]. Layers are Gemm by [out, in], and their values have the layers' names. */
export function tinyLlama(weights: ReadonlyMap<string, TensorData>, batch: number, length: number): TinyLlama {
  const g = new GraphBuilder();
  const weight = (name: string): Value => {
    const tensor = weights.get(`${name}.weight`);
    if (tensor === undefined) throw new Error(`no weight ${name}`);
    return g.initialiser(tensor);
  };
  const named = (opType: string, inputs: readonly Value[], name: string, transB = false): Value => {
    const attributes = new Map(transB ? [["transB", { kind: "int", value: 1n } as const]] : []);
    const names = inputs.map((input) => input.name);
    const [value] = g.addNode({ name: "", opType, domain: "", inputs: names, outputs: [name], attributes });
    if (value === undefined) throw new Error(name);
    return value;
  };
  const linear = (x: Value, name: string): Value => {
    const rows = g.reshape(x, [batch * length, -1]);
    return g.reshape(named("Gemm", [rows, weight(name)], name, true), [batch, length, -1]);
  };
  const norm = (x: Value, name: string): Value => {
    const mean = g.reduceMean(g.mul(x, x), [-1]);
    return g.mul(g.mul(x, g.reciprocal(g.sqrt(g.add(mean, g.scalar(1e-5))))), weight(name));
  };
  const heads = (x: Value, count: number): Value =>
    g.transpose(g.reshape(x, [batch, length, count, HEAD_SIZE]), [0, 2, 1, 3]);
  const constant = (name: string, shape: readonly number[], data: readonly number[]): Value => {
    const bytes = new Uint8Array(Float32Array.from(data).buffer);
    return g.initialiser({ name, dtype: "f32", shape, byteLength: bytes.length, source: { kind: "memory", bytes } });
  };
  const angles = Array.from({ length: length * HEAD_SIZE }, (_, index) => {
    const [position, at] = [Math.floor(index / HEAD_SIZE), index % (HEAD_SIZE / 2)];
    return position * 10000 ** ((-2 * at) / HEAD_SIZE);
  });
  const angle = constant("angle", [length, HEAD_SIZE], angles);
  const rotate = (x: Value): Value => {
    const [left, right] = g.split(x, [HEAD_SIZE / 2, HEAD_SIZE / 2], -1);
    if (left === undefined || right === undefined) throw new Error("split");
    return g.add(g.mul(x, g.cos(angle)), g.mul(g.concat([g.neg(right), left], -1), g.sin(angle)));
  };
  const repeat = (x: Value): Value =>
    g.reshape(g.expand(g.unsqueeze(x, [2]), [batch, KV_HEADS, HEADS / KV_HEADS, length, HEAD_SIZE]), [
      batch,
      HEADS,
      length,
      HEAD_SIZE,
    ]);
  const future = Array.from({ length: length ** 2 }, (_, index) =>
    index % length > Math.floor(index / length) ? -1e9 : 0,
  );
  const mask = constant("mask", [length, length], future);

  const ids = g.input("ids", "i64", [batch, length]);
  let x = named("Gather", [weight("model.embed_tokens"), ids], "model.embed_tokens");
  for (let layer = 0; layer < LAYERS; layer++) {
    const path = `model.layers.${layer}`;
    const h = norm(x, `${path}.input_layernorm`);
    const q = rotate(heads(linear(h, `${path}.self_attn.q_proj`), HEADS));
    const k = repeat(rotate(heads(linear(h, `${path}.self_attn.k_proj`), KV_HEADS)));
    const v = repeat(heads(linear(h, `${path}.self_attn.v_proj`), KV_HEADS));
    const scores = g.mul(g.matMul(q, g.transpose(k, [0, 1, 3, 2])), g.scalar(HEAD_SIZE ** -0.5));
    const attended = g.transpose(g.matMul(g.softmax(g.add(scores, mask)), v), [0, 2, 1, 3]);
    x = g.add(x, linear(g.reshape(attended, [batch, length, WIDTH]), `${path}.self_attn.o_proj`));
    const m = norm(x, `${path}.post_attention_layernorm`);
    const gate = linear(m, `${path}.mlp.gate_proj`);
    const activated = g.mul(g.mul(gate, g.sigmoid(gate)), linear(m, `${path}.mlp.up_proj`));
    x = g.add(x, linear(activated, `${path}.mlp.down_proj`));
  }
  return { g, hidden: norm(x, "model.norm") };
}
