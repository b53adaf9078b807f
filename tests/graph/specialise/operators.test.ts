/**
 * Operators of exporters, against ONNX Runtime's own kernels for them: computed beforehand from constants, and written in
 * operators of training graphs, where their gradients are those of finite differences.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../../src/engine/engine.ts";
import type { Graph } from "../../../src/formats/onnx/graph.ts";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import { OPERATORS } from "../../../src/graph/operators.ts";
import { Constant } from "../../../src/graph/specialise/constant.ts";
import { specialise } from "../../../src/graph/specialise/specialise.ts";
import { evaluateGraph, type Numbers } from "../../reference/evaluate-graph.ts";
import { gradient, gradientName } from "../gradient.ts";
import { difference, noise } from "../numbers.ts";
import { FOLDED } from "./folded-cases.ts";
import { LOWERED, RUNTIME } from "./lowered-cases.ts";
import { type Case, engineTensor, fedInputs, graphOf } from "./one-node.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

async function run(graph: Graph, { inputs }: Case): Promise<Map<string, Numbers>> {
  const program = await engine.compile(graph);
  const feeds = new Map(
    graph.inputs.map(({ name }) => {
      const input = inputs[Number(name.slice(1))];
      if (input === undefined) throw new Error(`no input ${name}`);
      return [name, engineTensor(input)];
    }),
  );
  const results = await program.run(feeds);
  await program.close();
  return new Map([...results].map(([name, { shape, data }]) => [name, { shape, data: Array.from(data, Number) }]));
}

const allLowered = () => [...rowsOf(LOWERED), ...rowsOf(RUNTIME)];

const rowsOf = (table: Readonly<Record<string, readonly Case[]>>) =>
  Object.entries(table).flatMap(([operator, cases]) => cases.map((row) => [operator, row.title, row] as const));

describe("a node of constants", () => {
  it.each(rowsOf(FOLDED))("%s, %s: is computed as ONNX Runtime does", async (operator, _, row) => {
    const graph = graphOf(operator, row);
    const constants = new Map(
      [...fedInputs(row)].map(([name, { dtype, shape, data }]) => [
        name,
        Constant.fromNumbers(name, dtype, shape, Float64Array.from(data)),
      ]),
    );
    const folded = specialise(graph, new Map(), constants);
    expect(folded.nodes).toEqual([]);
    const expected = await run(graph, row);
    for (const [name, numbers] of expected) {
      const tensor = folded.initialisers.get(name);
      expect(tensor?.shape).toEqual(numbers.shape);
      expect(tensor?.dtype).toBe(row.result ?? row.inputs[0]?.dtype);
      if (tensor === undefined) throw new Error(name);
      expect([...Constant.fromTensor(name, tensor).numbers]).toEqual(numbers.data);
    }
  });
});

describe("a node that depends on inputs", () => {
  it.each(allLowered())("%s, %s: is computed by operators of training graphs", async (operator, _, row) => {
    const graph = graphOf(operator, row);
    const lowered = specialise(graph, new Map());
    for (const { opType } of lowered.nodes) expect(Object.keys(OPERATORS)).toContain(opType);
    const expected = await run(graph, row);
    const results = await run(lowered, row);
    for (const [name, numbers] of expected) {
      expect(results.get(name)?.shape).toEqual(numbers.shape);
      expect(difference(results.get(name), numbers)).toBeLessThan(2e-6);
    }
  });

  const smooth = allLowered().filter(
    ([, , row]) => row.isFlat !== true && (row.result ?? row.inputs[0]?.dtype) === "f32",
  );

  it.each(smooth)("%s, %s: has the gradients of finite differences", (operator, _, row) => {
    const { graph, feeds, trainable } = lossOf(specialise(graphOf(operator, row), new Map()), row);
    const exact = evaluateGraph(gradient(graph, { loss: "loss", wrt: trainable }), feeds);
    for (const name of trainable) {
      const own = exact.get(gradientName(name));
      expect(own?.shape).toEqual(feeds.get(name)?.shape);
      // 1e-5: constants such as √(2/π) are f32, and 2e-5 apart their rounding shows.
      for (const [index, slope] of numericSlopes(graph, feeds, name)) {
        const apart = Math.abs((own?.data[index] ?? Number.NaN) - slope) / (1 + Math.abs(slope));
        expect(apart, `${name}[${index}]`).toBeLessThan(1e-5);
      }
    }
  });
});

/** A loss that weighs every element of every result differently. */
function lossOf(graph: Graph, row: Case): { graph: Graph; feeds: Map<string, Numbers>; trainable: string[] } {
  const g = GraphBuilder.from(graph);
  const feeds = new Map<string, Numbers>();
  for (const [name, { shape, data }] of fedInputs(row)) feeds.set(name, { shape, data });
  const terms = graph.outputs.map(({ name }, index) => {
    const result = g.value(name);
    feeds.set(`weight${index}`, noise(result.shape, 20 + index));
    const weighed = g.mul(result, g.input(`weight${index}`, "f32", result.shape));
    return g.reduceSum(g.reshape(weighed, [-1]), [0]);
  });
  const trainable = [...fedInputs(row)].filter(([, { dtype }]) => dtype === "f32").map(([name]) => name);
  return { graph: g.toGraph("test", new Map([["loss", terms.reduce(g.add)]])), feeds, trainable };
}

/** Elements of one input that are moved, from the first to the last: each takes two evaluations of the whole graph. */
const MOVED = 40;

/** (L(x + ε) − L(x − ε)) / 2ε by index. */
function numericSlopes(graph: Graph, feeds: ReadonlyMap<string, Numbers>, name: string): [number, number][] {
  const { shape, data } = feeds.get(name) ?? { shape: [], data: [] };
  const step = 1e-5;
  const lossAt = (index: number, value: number) =>
    evaluateGraph(graph, new Map(feeds).set(name, { shape, data: data.with(index, value) })).get("loss")?.data[0] ??
    Number.NaN;
  const count = Math.min(MOVED, data.length);
  return Array.from({ length: count }, (_, at) => {
    const index = Math.round((at * (data.length - 1)) / Math.max(1, count - 1));
    const value = data[index] ?? Number.NaN;
    return [index, (lossAt(index, value + step) - lossAt(index, value - step)) / (2 * step)];
  });
}
