/** LoRA that graphs compute beside their layers, folded into the layers. */

import { join } from "node:path";
import { convert, merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { valueBytes } from "../../formats/onnx/build.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { adaptersOf, distanceFromPeft, runGraph, unpackGraph } from "../../support/onnx-merge.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { writeAdapter, writeTensors } from "../small-model.ts";
import { branchNodes, constant, named, someRows, turned, writeGraph } from "./small-graph.ts";

const UNMERGED = [
  ["conv2d", "unmerged-torchscript"],
  ["conv2d", "unmerged-dynamo"],
  ["gpt2-lora", "unmerged-torchscript"],
  ["gpt2-lora", "unmerged-dynamo"],
  ["llama-embedding", "unmerged-torchscript"],
  ["llama-rslora", "unmerged-torchscript"],
  ["llama-rslora", "unmerged-dynamo"],
] as const;

const opTypes = (path: string) => openOnnx(path).graph.nodes.map(({ opType }) => opType);

describe.each(UNMERGED)("%s, %s", (name, graph) => {
  test("--fold computes what the branches did, and leaves none", async () => {
    const base = unpackGraph(name, graph, false);
    const out = join(temporaryFolder(), "folded.onnx");
    const report = await merge({ base, adapters: [], fold: true, out, verify: true, workers: 1 });
    expect(report.verification?.passed).toBe(true);
    expect(await distanceFromPeft(name, out)).toBeLessThan(1e-4);
    const factors = [...openOnnx(out).constants.keys()].filter((key) => /lora_|default/.test(key));
    expect(factors).toEqual([]);
    expect(opTypes(out).filter((type) => type === "Add").length).toBeLessThan(
      opTypes(base).filter((type) => type === "Add").length,
    );
    expect((await verify({ base, adapters: [], fold: true, merged: out, workers: 1 })).passed).toBe(true);
    const again = await errorOfBuilt(() => merge({ base: out, adapters: [], fold: true, out: `${out}2.onnx` }));
    expect(again.message).toMatch(/no LoRA branches/);
  });
});

test("the adapter of a PEFT folder takes the place of the branch in the graph", async () => {
  const base = unpackGraph("llama-rslora", "unmerged-torchscript", false);
  const out = join(temporaryFolder(), "merged.onnx");
  const report = await merge({ base, adapters: adaptersOf("llama-rslora"), out, workers: 1 });
  expect(await distanceFromPeft("llama-rslora", out)).toBeLessThan(1e-4);
  expect(report.warnings.join()).toMatch(/takes the place of the branch/);
  expect(report.tensors.remove).toBe(21);
});

const LAYER = "model.layers.0.self_attn.q_proj";
const [A, B] = [`${LAYER}.lora_A.weight`, `${LAYER}.lora_B.weight`];

const LAYER_FACTORS = {
  [`base_model.model.${LAYER}.lora_A.weight`]: { shape: [2, 8] },
  [`base_model.model.${LAYER}.lora_B.weight`]: { shape: [6, 2] },
};

test("layers fold whose names nothing tells, or only once the branch is gone", async () => {
  const constants = {
    w: constant({ name: "val_1", shape: [8, 6] }),
    a: constant({ name: "val_2", shape: [8, 2] }),
    b: constant({ name: "val_3", shape: [2, 6] }),
  };
  // Both products in front claim to be the layer's own.
  for (const [layer, down] of [
    ["n0", "n1"],
    ["/q/MatMul", "/q/MatMul_1"],
  ] as const) {
    const base = writeGraph({
      tensors: Object.values(constants),
      nodes: [
        named(layer, "MatMul", ["x", "val_1"], "base"),
        named(down, "MatMul", ["x", "val_2"], "a"),
        named("n2", "MatMul", ["a", "val_3"], "b"),
        named("n3", "Add", ["base", "b"], "y"),
      ],
      inputs: [valueBytes("x", 1, ["n", 8])],
      outputs: [valueBytes("y", 1, ["n", 6])],
    });
    const out = join(temporaryFolder(), "out.onnx");
    await merge({ base, adapters: [], fold: true, out, verify: true, workers: 1 });
    const [before, after] = [await runGraph(base, someRows()), await runGraph(out, someRows())];
    expect(Math.max(...after.map((value, index) => Math.abs(value - (before[index] ?? 0))))).toBeLessThan(1e-5);
    expect((await verify({ base, adapters: [], fold: true, merged: out, workers: 1 })).passed).toBe(true);
  }
});

/** A layer as Olive exports it: factors are inputs, which may have empty defaults. */
function oliveGraph(withDefaults: boolean): string {
  const defaults = [constant({ name: A, shape: [8, 0] }), constant({ name: B, shape: [0, 6] })];
  return writeGraph({
    tensors: [
      constant({ name: "onnx::MatMul_1", shape: [8, 6], value: turned(6, 8) }),
      ...(withDefaults ? defaults : []),
    ],
    nodes: [
      named("/model/layers.0/self_attn/q_proj/MatMul", "MatMul", ["x", "onnx::MatMul_1"], "base"),
      named("/model/layers.0/self_attn/q_proj/lora_A/MatMul", "MatMul", ["x", A], "a"),
      named("/model/layers.0/self_attn/q_proj/lora_B/MatMul", "MatMul", ["a", B], "b"),
      named("/model/layers.0/self_attn/q_proj/lora/Add", "Add", ["base", "b"], "y"),
    ],
    inputs: [valueBytes("x", 1, ["n", 8]), valueBytes(A, 1, [8, "lora_r"]), valueBytes(B, 1, ["lora_r", 6])],
    outputs: [valueBytes("y", 1, ["n", 6])],
  });
}

describe("Olive's graphs", () => {
  test.each([true, false])(
    "a PEFT adapter goes into the weight, inputs and branch go (defaults: %s)",
    async (withDefaults) => {
      const folder = temporaryFolder();
      const adapter = writeAdapter(folder, LAYER_FACTORS);
      const out = join(folder, "out.onnx");
      await merge({ base: oliveGraph(withDefaults), adapters: [{ path: adapter }], out, verify: true, workers: 1 });
      const { graph, constants } = openOnnx(out);
      expect(graph.nodes.map(({ opType, outputs }) => [opType, ...outputs])).toEqual([["MatMul", "y"]]);
      expect(graph.inputs.map(({ name }) => name)).toEqual(["x"]);
      expect([...constants.keys()]).toEqual(["onnx::MatMul_1"]);

      // The same layer as safetensors, merged there.
      const base = join(folder, "base.safetensors");
      writeTensors(base, { [`${LAYER}.weight`]: { shape: [6, 8] } });
      await merge({ base, adapters: [{ path: adapter }], out: join(folder, "merged.safetensors"), workers: 1 });
      const [found, expected] = await Promise.all([
        runGraph(out, someRows()),
        productWith(join(folder, "merged.safetensors")),
      ]);
      for (const [index, value] of found.entries()) expect(value).toBeCloseTo(expected[index] ?? Number.NaN, 5);
    },
  );

  test("its .onnx_adapter folds as it is: [in, rank] and [rank, out], the scale in B", async () => {
    const folder = temporaryFolder();
    const peft = writeAdapter(folder, LAYER_FACTORS);
    const path = join(folder, "adapter.onnx_adapter");
    await convert({ input: peft, to: "onnx-adapter", out: path });
    const weights = [peft, path].map(async (adapter) => {
      const out = join(temporaryFolder(), "out.onnx");
      const report = await merge({ base: oliveGraph(true), adapters: [{ path: adapter }], out, workers: 1 });
      expect(openOnnx(out).graph.nodes).toHaveLength(1);
      const tensor = openOnnx(out).store.tensors.get("onnx::MatMul_1");
      return { scale: report.adapters[0]?.scale, bytes: tensor && Buffer.from(readTensorBytes(tensor)) };
    });
    const [fromPeft, fromOlive] = await Promise.all(weights);
    expect(fromPeft?.scale).toEqual([2, 2]);
    expect(fromOlive).toEqual({ scale: [1, 1], bytes: fromPeft?.bytes });
  });

  test("a branch that no adapter is for goes with a warning", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out.onnx");
    const report = await merge({ base: oliveGraph(true), adapters: [], fold: true, out, workers: 1 });
    expect(report.warnings.join()).toMatch(/waits for factors and gets none/);
    expect(openOnnx(out).graph.nodes).toHaveLength(1);
  });
});

describe("branches", () => {
  const tensors = [
    constant({ name: "q.weight", shape: [6, 8] }),
    constant({ name: "a", shape: [8, 2] }),
    constant({ name: "b", shape: [2, 6] }),
    constant({ name: "half", shape: [], value: () => 0.5 }),
  ];
  const layer = branchNodes("half");
  const io = { inputs: [valueBytes("x", 1, [3, 8])], outputs: [valueBytes("y", 1, [3, 6])] };

  test("a layer that something reads without its branch is refused", async () => {
    const nodes = [...layer, named("/Relu", "Relu", ["base"], "r"), named("/Add", "Add", ["r", "sum"], "y")];
    const out = join(temporaryFolder(), "out.onnx");
    const base = writeGraph({ tensors, nodes, ...io });
    const error = await errorOfBuilt(() => merge({ base, adapters: [], fold: true, out, workers: 1 }));
    expect(error.message).toMatch(/"q.weight": the branch cannot be folded: a second reader of "base"/);
  });

  test("a factor that something else reads stays", async () => {
    const nodes = [...layer, named("/z", "MatMul", ["x", "a"], "z"), named("/Identity", "Identity", ["sum"], "y")];
    const out = join(temporaryFolder(), "out.onnx");
    const outputs = [...io.outputs, valueBytes("z", 1, [3, 2])];
    const base = writeGraph({ tensors, nodes, ...io, outputs });
    await merge({ base, adapters: [], fold: true, out, verify: true, workers: 1 });
    expect([...openOnnx(out).constants.keys()]).toEqual(["q.weight", "a"]);
    const [before, after] = await Promise.all([runGraph(base, someRows()), runGraph(out, someRows())]);
    for (const [index, value] of after.entries()) expect(value).toBeCloseTo(before[index] ?? Number.NaN, 4);
  });

  test("two branches on one layer fold together", async () => {
    const second = [
      named("/q/A2", "MatMul", ["x", "a"], "low2"),
      named("/q/B2", "MatMul", ["low2", "b"], "high2"),
      named("/q/Add2", "Add", ["sum", "high2"], "y"),
    ];
    const base = writeGraph({ tensors, nodes: [...layer, ...second], ...io });
    const out = join(temporaryFolder(), "out.onnx");
    await merge({ base, adapters: [], fold: true, out, workers: 1 });
    expect(opTypes(out)).toEqual(["Gemm"]);
    const [before, after] = await Promise.all([runGraph(base, someRows()), runGraph(out, someRows())]);
    for (const [index, value] of after.entries()) expect(value).toBeCloseTo(before[index] ?? Number.NaN, 4);
  });

  test.each([
    ["another input", [named("/q/A", "MatMul", ["x2", "a"], "low")]],
    ["a factor with a bias", [named("/q/A", "Gemm", ["x", "a", "bias"], "low")]],
  ])("sums with %s are no branches", async (_, [first]) => {
    const nodes = [layer[0], first, ...layer.slice(2), named("/Identity", "Identity", ["sum"], "y")].filter(
      (one) => one !== undefined,
    );
    const inputs = [...io.inputs, valueBytes("x2", 1, [3, 8]), valueBytes("bias", 1, [2])];
    const base = writeGraph({ tensors, nodes, ...io, inputs });
    const error = await errorOfBuilt(() =>
      merge({ base, adapters: [], fold: true, out: join(temporaryFolder(), "o.onnx") }),
    );
    expect(error.message).toMatch(/no LoRA branches/);
  });
});

async function productWith(path: string): Promise<number[]> {
  const { openSafetensors } = await import("../../../src/formats/safetensors/reader.ts");
  const tensor = openSafetensors(path).tensors.get(`${LAYER}.weight`);
  if (tensor === undefined) throw new Error("no weight");
  const weight = new Float32Array(Uint8Array.from(readTensorBytes(tensor)).buffer);
  const rows = new Float32Array(someRows().source.bytes.buffer);
  return Array.from({ length: 18 }, (_, index) => {
    const [row, output] = [Math.floor(index / 6), index % 6];
    return Array.from({ length: 8 }, (_, k) => (rows[row * 8 + k] ?? 0) * (weight[output * 8 + k] ?? 0)).reduce(
      (a, b) => a + b,
    );
  });
}
