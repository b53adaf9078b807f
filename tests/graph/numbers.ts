/** Feeds for training graphs, for the evaluator and for the engine. */

import type { Engine } from "../../src/engine/engine.ts";
import type { EngineTensor } from "../../src/engine/tensor.ts";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import type { Numbers } from "../reference/evaluate-graph.ts";

/** Numbers that look random and that f32 holds: Knuth's multiplicative hash of the index. */
export function noise(shape: readonly number[], stream: number, [low, high] = [-1, 1]): Numbers {
  const length = shape.reduce((a, b) => a * b, 1);
  const data = Array.from({ length }, (_, index) => {
    const unit = (Math.imul(index * 32 + stream + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
    return Math.fround(low + (high - low) * unit);
  });
  return { shape, data };
}

/** The outputs of a graph on an engine, as plain numbers. */
export async function runGraph(
  engine: Engine,
  graph: Graph,
  feeds: ReadonlyMap<string, Numbers>,
): Promise<Map<string, Numbers>> {
  const program = await engine.compile(graph);
  const tensors = new Map<string, EngineTensor>();
  for (const { name, dtype } of graph.inputs) {
    const numbers = feeds.get(name);
    if (numbers === undefined) throw new Error(`no feed ${name}`);
    tensors.set(name, toTensor(dtype, numbers));
  }
  const results = await program.run(tensors);
  await program.close();
  return new Map([...results].map(([name, { shape, data }]) => [name, { shape, data: Array.from(data, Number) }]));
}

export function toTensor(dtype: string, { shape, data }: Numbers): EngineTensor {
  if (dtype === "i64") return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
  if (dtype === "bool") return { dtype, shape, data: Uint8Array.from(data) };
  return { dtype: "f32", shape, data: Float32Array.from(data) };
}

/** The largest |a − b| / (1 + |b|). */
export function difference(a: Numbers | undefined, b: Numbers | undefined): number {
  if (a === undefined || b === undefined || a.data.length !== b.data.length) return Number.NaN;
  return Math.max(
    0,
    ...b.data.map((value, index) => Math.abs((a.data[index] ?? Number.NaN) - value) / (1 + Math.abs(value))),
  );
}
