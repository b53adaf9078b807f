import { describe, expect, it } from "vitest";
import type { GraphNode } from "../../src/formats/onnx/graph.ts";
import { graph, node, value } from "../engine/graphs.ts";
import { evaluateGraph } from "../reference/evaluate-graph.ts";
import { errorOf } from "../support/errors.ts";
import { insertLora, type LoraTarget } from "./insert-lora.ts";
import { difference, noise } from "./numbers.ts";

const [ROWS, IN, OUT, RANK, SCALE] = [3, 4, 5, 2, 0.75];
const TARGET: LoraTarget = { module: "layer", output: "y", rank: RANK, scale: SCALE };
const int = (value: number) => ({ kind: "int", value: BigInt(value) }) as const;

/** y = a layer of x and w; z = y + y, so that both outputs see the adapter. */
function layer(computes: GraphNode, weight: readonly number[], x = value("x", "f32", [ROWS, IN])) {
  return graph(
    [computes, node("Add", ["y", "y"], ["z"])],
    [x, value("w", "f32", weight), value("b", "f32", [OUT])],
    [value("y", "f32", [ROWS, OUT]), value("z", "f32", [ROWS, OUT])],
  );
}

const FORMS = [
  ["MatMul", layer(node("MatMul", ["x", "w"], ["y"]), [IN, OUT]), false],
  ["Gemm with a bias", layer(node("Gemm", ["x", "w", "b"], ["y"]), [IN, OUT]), true],
  ["Gemm by [out, in]", layer(node("Gemm", ["x", "w", "b"], ["y"], { transB: int(1) }), [OUT, IN]), true],
] as const;

const numbers = {
  x: noise([ROWS, IN], 0),
  b: noise([OUT], 1),
  down: noise([RANK, IN], 2),
  up: noise([OUT, RANK], 3),
  magnitude: noise([OUT], 4, [0.5, 2]),
  dropout: { shape: [ROWS, IN], data: Array.from({ length: ROWS * IN }, (_, index) => (index % 3 === 0 ? 0 : 1.5)) },
  /** Logically [out, in]; stored as the graph wants it. */
  w: noise([OUT, IN], 5),
};

const at = (
  { data, shape }: { data: readonly number[]; shape: readonly number[] },
  row: number,
  column: number,
): number => data[row * (shape[1] ?? 1) + column] ?? Number.NaN;

function feedsFor(weight: readonly number[]): Map<string, { shape: readonly number[]; data: readonly number[] }> {
  const flipped = Array.from({ length: IN * OUT }, (_, index) => at(numbers.w, index % OUT, Math.floor(index / OUT)));
  return new Map([
    ["x", numbers.x],
    ["b", numbers.b],
    ["w", weight[0] === OUT ? numbers.w : { shape: [IN, OUT], data: flipped }],
    ["layer/down", numbers.down],
    ["layer/up", numbers.up],
    ["layer/magnitude", numbers.magnitude],
    ["layer/dropout", numbers.dropout],
  ]);
}

/** PEFT's formulas, element by element. */
function expected(biased: boolean, dora: boolean, dropout: boolean): number[] {
  return Array.from({ length: ROWS * OUT }, (_, index) => {
    const [row, output] = [Math.floor(index / OUT), index % OUT];
    const bias = biased ? (numbers.b.data[output] ?? 0) : 0;
    let [plain, plainDropped, added, norm] = [0, 0, 0, 0];
    for (let input = 0; input < IN; input++) {
      const x = at(numbers.x, row, input);
      const dropped = dropout ? x * at(numbers.dropout, row, input) : x;
      let delta = 0;
      for (let r = 0; r < RANK; r++) delta += SCALE * at(numbers.up, output, r) * at(numbers.down, r, input);
      const w = at(numbers.w, output, input);
      plain += x * w;
      plainDropped += dropped * w;
      added += dropped * delta;
      norm += (w + delta) ** 2;
    }
    if (!dora) return plain + bias + added;
    const ratio = (numbers.magnitude.data[output] ?? 0) / Math.sqrt(norm);
    return plain + bias + (ratio - 1) * plainDropped + ratio * added;
  });
}

describe.each(FORMS)("an adapter on %s", (_, forward, biased) => {
  const feeds = feedsFor(forward.inputs[1]?.shape?.map(Number) ?? []);

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])("computes what PEFT does (DoRA: %s, dropout: %s)", (dora, dropout) => {
    const { graph: adapted, modules, detached } = insertLora(forward, [{ ...TARGET, dora, dropout }]);
    const values = evaluateGraph(adapted, feeds);
    const y = { shape: [ROWS, OUT], data: expected(biased, dora, dropout) };
    // 1e-7: the scale is f32 in the graph.
    expect(difference(values.get("y"), y)).toBeLessThan(1e-7);
    expect(difference(values.get("z"), { ...y, data: y.data.map((number) => 2 * number) })).toBeLessThan(1e-7);
    const [inputs] = modules;
    expect(inputs).toEqual({
      module: "layer",
      down: "layer/down",
      up: "layer/up",
      ...(dora && { magnitude: "layer/magnitude" }),
      ...(dropout && { dropoutMask: "layer/dropout" }),
    });
    expect(detached).toHaveLength(dora ? 1 : 0);
  });
});

describe("an adapter on an embedding", () => {
  const table = layer(node("Gather", ["w", "x"], ["y"]), [IN, OUT], value("x", "i64", [ROWS]));

  it("adds up · down[:, token] to each row", () => {
    const ids = [3, 0, 3];
    const { graph: adapted } = insertLora(table, [TARGET]);
    const feeds = feedsFor([IN, OUT]).set("x", { shape: [ROWS], data: ids });
    const data = ids.flatMap((id) =>
      Array.from({ length: OUT }, (_, output) => {
        let sum = at(numbers.w, output, id);
        for (let r = 0; r < RANK; r++) sum += SCALE * at(numbers.up, output, r) * at(numbers.down, r, id);
        return sum;
      }),
    );
    expect(difference(evaluateGraph(adapted, feeds).get("y"), { shape: [ROWS, OUT], data })).toBeLessThan(1e-7);
  });
});

describe("what takes no adapter", () => {
  const [, plain] = FORMS[0];
  it.each([
    ["a node without a weight", plain, [{ ...TARGET, output: "z" }], "UNSUPPORTED_OPERATOR"],
    [
      "rows that are stored transposed",
      layer(node("Gemm", ["x", "w"], ["y"], { transA: int(1) }), [ROWS, OUT]),
      [TARGET],
      "UNSUPPORTED_OPERATOR",
    ],
    [
      "columns of a table",
      layer(node("Gather", ["w", "x"], ["y"], { axis: int(1) }), [ROWS, OUT], value("x", "i64", [OUT])),
      [TARGET],
      "UNSUPPORTED_OPERATOR",
    ],
  ] as const)("is refused: %s", async (_, forward, targets, code) => {
    expect((await errorOf(() => insertLora(forward, targets))).code).toBe(code);
  });
});
