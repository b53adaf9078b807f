import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { crossEntropy } from "../../src/graph/cross-entropy.ts";
import { pruneGraph } from "../../src/graph/prune.ts";
import { ReversePass } from "../../src/graph/reverse-pass.ts";
import { evaluateGraph, type Numbers } from "../reference/evaluate-graph.ts";
import { difference, noise } from "./numbers.ts";

const [ROWS, WIDTH, VOCABULARY] = [5, 3, 7];
const LABELS = [2, -100, 0, 6, 2];

/** Loss, count and gradients of 2·hidden and of a trained projection. */
function results(labels: readonly number[], chunkRows: number, only?: readonly number[]): Map<string, Numbers> {
  const g = new GraphBuilder();
  const hidden = g.input("hidden", "f32", [ROWS, WIDTH]);
  const projection = g.input("projection", "f32", [WIDTH, VOCABULARY]);
  const twice = g.mul(hidden, g.scalar(2));
  const end = g.nodes.length;
  const pass = new ReversePass(g, ["hidden", "projection"]);
  const loss = crossEntropy(g, {
    hidden: twice,
    labels: g.input("labels", "i64", [ROWS]),
    project: (rows) => g.matMul(rows, projection),
    chunkRows,
    ...(only && { only: g.integers(only) }),
    pass,
  });
  pass.walk(0, end);
  const outputs = new Map([
    ["loss", loss],
    ["byHidden", pass.gradient("hidden")],
    ["byProjection", pass.gradient("projection")],
  ]);
  return evaluateGraph(pruneGraph(g.toGraph("test", outputs)), feedsOf(labels));
}

function feedsOf(labels: readonly number[]): Map<string, Numbers> {
  return new Map([
    ["hidden", noise([ROWS, WIDTH], 0)],
    ["projection", noise([WIDTH, VOCABULARY], 1)],
    ["labels", { shape: [ROWS], data: labels }],
  ]);
}

/** Σ log Σ e^z − z[label] over the rows that are scored, written down directly. */
function plainLoss(feeds: ReadonlyMap<string, Numbers>): number {
  const [hidden = [], projection = [], labels = []] = ["hidden", "projection", "labels"].map(
    (name) => feeds.get(name)?.data,
  );
  let loss = 0;
  labels.forEach((label, row) => {
    if (label === -100) return;
    const logits = Array.from({ length: VOCABULARY }, (_, token) => {
      let sum = 0;
      for (let at = 0; at < WIDTH; at++)
        sum += 2 * (hidden[row * WIDTH + at] ?? 0) * (projection[at * VOCABULARY + token] ?? 0);
      return sum;
    });
    loss += Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0)) - (logits[label] ?? Number.NaN);
  });
  return loss;
}

function numericGradient(labels: readonly number[], name: string): Numbers {
  const feeds = feedsOf(labels);
  const { shape, data } = feeds.get(name) ?? { shape: [], data: [] };
  const at = (index: number, by: number) =>
    plainLoss(new Map(feeds).set(name, { shape, data: data.with(index, (data[index] ?? 0) + by) }));
  return { shape, data: data.map((_, index) => (at(index, 1e-5) - at(index, -1e-5)) / 2e-5) };
}

describe("cross-entropy", () => {
  it.each([1, 2, 5, 100])("is the sum over scored labels, with its gradients, in chunks of %i rows", (chunkRows) => {
    const values = results(LABELS, chunkRows);
    expect(values.get("loss")?.shape).toEqual([]);
    expect(values.get("loss")?.data[0]).toBeCloseTo(plainLoss(feedsOf(LABELS)), 12);
    expect(difference(values.get("byHidden"), numericGradient(LABELS, "hidden"))).toBeLessThan(1e-8);
    expect(difference(values.get("byProjection"), numericGradient(LABELS, "projection"))).toBeLessThan(1e-8);
  });

  it("is the same from a list of rows that holds all scored ones", () => {
    const whole = results(LABELS, 5);
    for (const only of [
      [0, 2, 3, 4],
      [4, 1, 3, 2, 0],
    ]) {
      const values = results(LABELS, 3, only);
      for (const name of ["loss", "byHidden", "byProjection"]) {
        expect(difference(values.get(name), whole.get(name)), name).toBeLessThan(1e-12);
      }
    }
  });

  it("adds up over micro-batches of unequal counts to the same as one batch", () => {
    const whole = results(LABELS, 5);
    const first = results(
      LABELS.map((label, row) => (row < 3 ? label : -100)),
      5,
    );
    const second = results(
      LABELS.map((label, row) => (row < 3 ? -100 : label)),
      5,
    );
    for (const name of ["loss", "byHidden", "byProjection"]) {
      const [a, b] = [first.get(name)?.data ?? [], second.get(name)?.data ?? []];
      const sum = { shape: [], data: a.map((number, index) => number + (b[index] ?? Number.NaN)) };
      expect(difference(sum, whole.get(name)), name).toBeLessThan(1e-12);
    }
  });

  it("is zero, with zero gradients, when no label is scored", () => {
    const values = results([-100, -100, -100, -100, -100], 2);
    for (const name of ["loss", "byHidden", "byProjection"]) {
      expect(
        values.get(name)?.data.every((number) => number === 0),
        name,
      ).toBe(true);
    }
  });
});
