/** Models of nine families as PyTorch exports them, against torch's own logits (fixtures/generate/onnx_train.py). */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../../src/engine/engine.ts";
import type { Graph } from "../../../src/formats/onnx/graph.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { toGraph } from "../../../src/formats/onnx/to-graph.ts";
import { OPERATORS } from "../../../src/graph/operators.ts";
import { Constant } from "../../../src/graph/specialise/constant.ts";
import { specialise } from "../../../src/graph/specialise/specialise.ts";
import { EXPORTS, exportPath, goldenNumbers, openGolden, SHAPE } from "../../support/onnx-train.ts";
import { runGraph } from "../numbers.ts";

const [ROWS, LENGTH] = SHAPE;

/** The logits alone, of `input_ids` alone: nothing is masked or cached, positions count from 0. */
function specialised(name: string): Graph {
  const model = toGraph(openOnnx(exportPath(name)));
  const graph = { ...model, outputs: model.outputs.filter((output) => output.name === "logits") };
  const constants = new Map<string, Constant>();
  for (const input of graph.inputs) {
    if (input.name === "input_ids") continue;
    const isCache = input.name.startsWith("past_key_values");
    const shape = isCache ? (input.shape ?? []).map((size, axis) => [ROWS, size, 0][axis] ?? size) : SHAPE;
    const numbers = Float64Array.from({ length: isCache ? 0 : ROWS * LENGTH }, (_, index) =>
      input.name === "position_ids" ? index % LENGTH : 1,
    );
    constants.set(input.name, Constant.fromNumbers(input.name, input.dtype, shape as number[], numbers));
  }
  return specialise(graph, new Map([["input_ids", SHAPE]]), constants);
}

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

describe.each(EXPORTS)("%s", (name) => {
  it("has torch's logits at every token that is no padding, in operators of training graphs alone", async () => {
    const graph = specialised(name);
    for (const { opType } of graph.nodes) expect(Object.keys(OPERATORS)).toContain(opType);
    expect(graph.inputs).toEqual([{ name: "input_ids", dtype: "i64", shape: [...SHAPE] }]);
    const golden = openGolden(name);
    const [ids, labels] = [goldenNumbers(golden, "ids"), goldenNumbers(golden, "labels")];
    const logits = (await runGraph(engine, graph, new Map([["input_ids", ids]]))).get("logits");
    const expected = goldenNumbers(golden, "logits");
    expect(logits?.shape).toEqual(expected.shape);
    const width = expected.shape.at(-1) ?? 0;
    expected.data.forEach((value, index) => {
      if (labels.data[Math.floor(index / width)] === -100) return;
      expect(Math.abs((logits?.data[index] ?? Number.NaN) - value)).toBeLessThan(2e-5 * (1 + Math.abs(value)));
    });
  });
});
