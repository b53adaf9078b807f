/** Adapters on models as PyTorch exports them, against PEFT and torch's autograd (fixtures/generate/onnx_train.py). */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../../src/engine/engine.ts";
import type { TensorStore } from "../../../src/formats/tensor-store.ts";
import { openOnnxBase } from "../../../src/train/base/onnx/onnx-base.ts";
import { buildStepGraph, type StepGraphOptions } from "../../../src/train/step/step-graph.ts";
import { runGraph } from "../../graph/numbers.ts";
import type { Numbers } from "../../reference/evaluate-graph.ts";
import { EXPORTS, exportPath, goldenNumbers, openGolden, SHAPE } from "../../support/onnx-train.ts";

const [ROWS, LENGTH] = SHAPE;
const PARTS = ["down", "up"] as const;

const modulesOf = (golden: TensorStore): string[] =>
  [...golden.tensors.keys()].flatMap((name) => (name.endsWith(".down") ? [name.slice(0, -".down".length)] : []));

/** ‖a − b‖ / ‖b‖ */
function relativeError(a: Numbers | undefined, b: Numbers): number {
  expect(a?.shape).toEqual(b.shape);
  return Math.hypot(...b.data.map((value, index) => (a?.data[index] ?? Number.NaN) - value)) / Math.hypot(...b.data);
}

function stepOptions(name: string, chunkRows: number, recompute: boolean): StepGraphOptions {
  const golden = openGolden(name);
  const base = openOnnxBase(exportPath(name));
  base.load();
  const scale = Number(golden.metadata.get("scale"));
  const modules = modulesOf(golden).map((module) => {
    const layer = base.layers.find((one) => one.module === module);
    if (layer === undefined) throw new Error(`no layer ${module}`);
    return { layer, rank: 2, alpha: 3, scale };
  });
  const plain = { saved: [], dora: false, recompute, dropout: false, gradients: true };
  return { base, modules, rows: ROWS, length: LENGTH, chunkRows, ...plain };
}

function feedsOf(golden: TensorStore): Map<string, Numbers> {
  const count = ROWS * LENGTH;
  const feeds = new Map([
    ["input_ids", goldenNumbers(golden, "ids")],
    ["labels", goldenNumbers(golden, "labels")],
    ["position_ids", { shape: SHAPE, data: Array.from({ length: count }, (_, index) => index % LENGTH) }],
    ["segment_ids", { shape: SHAPE, data: Array.from({ length: count }, () => 1) }],
  ]);
  for (const module of modulesOf(golden)) {
    for (const part of PARTS) feeds.set(`${module}/${part}`, goldenNumbers(golden, `${module}.${part}`));
  }
  return feeds;
}

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

describe.each(EXPORTS)("%s", (name) => {
  // Half of them with few rows of logits at a time and blocks computed twice, which must change nothing.
  const [chunkRows, recompute] = name.includes("dynamo") ? [5, true] : [12, false];

  it("has PEFT's loss to 1e-5 and its gradients to 1e-4", async () => {
    const golden = openGolden(name);
    const { graph, loss, gradients } = buildStepGraph(stepOptions(name, chunkRows, recompute));
    const results = await runGraph(engine, graph, feedsOf(golden));
    expect(relativeError(results.get(loss), goldenNumbers(golden, "loss"))).toBeLessThan(1e-5);
    for (const module of modulesOf(golden)) {
      for (const part of PARTS) {
        const found = results.get(gradients.get(`${module}/${part}`) ?? "");
        expect(relativeError(found, goldenNumbers(golden, `${module}.${part}.grad`)), `${module} ${part}`).toBeLessThan(
          1e-4,
        );
      }
    }
  });
});
