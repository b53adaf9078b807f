/** Adapters inside ONNX graphs: LoRA that nodes compute beside their layers, with a number for the scale or without. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect, rescale } from "lora-tool";
import { describe, expect, test } from "vitest";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { OnnxEditor } from "../../src/formats/onnx/editor.ts";
import { openOnnx } from "../../src/formats/onnx/reader.ts";
import { writeOnnx } from "../../src/formats/onnx/writer.ts";
import { intAttribute, valueBytes } from "../formats/onnx/build.ts";
import {
  branchNodes,
  constant,
  named,
  type SmallConstant,
  someRows,
  turned,
  writeGraph,
} from "../merge/onnx/small-graph.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { distanceFromPeft, runGraph, unpackGraph } from "../support/onnx-merge.ts";
import { runCli } from "../support/process.js";
import { temporaryFolder } from "../support/temporary-folder.ts";

type Options = Partial<Omit<Parameters<typeof rescale>[0], "adapter" | "out">>;

async function rescaled(adapter: string, options: Options) {
  const out = join(temporaryFolder(), "out.onnx");
  return { out, report: await rescale({ adapter, out, to: "lora", ...options }) };
}

/** Bytes of every constant, by key. */
function constantsOf(path: string): Map<string, string> {
  return new Map(
    [...openOnnx(path).constants].map(([key, { tensor }]) => [
      key,
      Buffer.from(readTensorBytes(tensor.data)).toString("hex"),
    ]),
  );
}

const nodesOf = (path: string) =>
  openOnnx(path).graph.nodes.map(({ name, opType, inputs, outputs }) => ({ name, opType, inputs, outputs }));

const UNMERGED = [
  ["conv2d", "unmerged-torchscript", [3.464101552963257]],
  ["conv2d", "unmerged-dynamo", [3.464101552963257]],
  ["gpt2-lora", "unmerged-dynamo", [2]],
  ["llama-embedding", "unmerged-torchscript", [4]],
  ["llama-rslora", "unmerged-torchscript", [1.0606601238250732]],
  ["llama-rslora", "unmerged-dynamo", [1.0606601238250732]],
] as const;

describe.each(UNMERGED)("%s, %s", (name, graph, scales) => {
  test("--bake leaves scale 1 and the behaviour, and changes nothing but numbers of branches", async () => {
    const base = unpackGraph(name, graph, false);
    const { out, report } = await rescaled(base, { bake: true });
    expect(report).toMatchObject({ layout: "onnx-graph", from: "lora", weights: "rewritten" });
    expect(new Set(report.modules.map(({ scaleBefore }) => scaleBefore))).toEqual(new Set(scales));
    expect(new Set(report.modules.map(({ scaleAfter }) => scaleAfter))).toEqual(new Set([1]));
    expect(await distanceFromPeft(name, out)).toBeLessThan(1e-4);

    expect(nodesOf(out)).toEqual(nodesOf(base));
    const [before, after] = [constantsOf(base), constantsOf(out)];
    expect([...after.keys()]).toEqual([...before.keys()]);
    const changed = [...after].filter(([key, bytes]) => before.get(key) !== bytes).map(([key]) => key);
    const ones = changed.filter((key) => after.get(key) === "0000803f");
    const factors = changed.filter((key) => !ones.includes(key));
    expect(ones.length).toBeGreaterThan(0);
    expect(factors).toHaveLength(report.modules.length);

    const again = await rescaled(out, { bake: true });
    expect(again.report.weights).toBe("same");
    expect(readFileSync(again.out).equals(readFileSync(out))).toBe(true);
  });

  test("--alpha goes into the number, its remainder into lora_B", async () => {
    const { out, report } = await rescaled(unpackGraph(name, graph, false), { to: "rslora", alpha: 5 });
    for (const { rank, scaleAfter } of report.modules) expect(scaleAfter).toBe(Math.fround(5 / Math.sqrt(rank)));
    expect(await distanceFromPeft(name, out)).toBeLessThan(1e-4);
  });
});

test("another convention alone changes no byte, and says why", async () => {
  const base = unpackGraph("gpt2-lora", "unmerged-dynamo", false);
  for (const to of ["lora", "rslora"] as const) {
    const { out, report } = await rescaled(base, { to });
    expect(report.weights).toBe("same");
    expect(report.notes.join()).toContain(to === "rslora" ? "an ONNX graph has no flag for rsLoRA" : "");
    expect(report.modules.every(({ scaleBefore, scaleAfter, exact }) => exact && scaleBefore === scaleAfter)).toBe(
      true,
    );
    expect(readFileSync(out).equals(readFileSync(base))).toBe(true);
  }
});

const tensors = (...more: SmallConstant[]) => [
  constant({ name: "q.weight", shape: [6, 8] }),
  constant({ name: "a", shape: [8, 2] }),
  constant({ name: "b", shape: [2, 6], value: turned(6, 2) }),
  constant({ name: "two", shape: [], value: () => 2 }),
  ...more.map(constant),
];
const layer = branchNodes("two");
const end = named("/Identity", "Identity", ["sum"], "y");
const io = { inputs: [valueBytes("x", 1, [3, 8])], outputs: [valueBytes("y", 1, [3, 6])] };
const small = (nodes: readonly Uint8Array[], ...more: SmallConstant[]) =>
  writeGraph({ tensors: tensors(...more), nodes, ...io });

async function expectSameOutputs(before: string, after: string): Promise<void> {
  const [expected, found] = await Promise.all([runGraph(before, someRows()), runGraph(after, someRows())]);
  expect(found).toHaveLength(expected.length);
  for (const [index, value] of found.entries()) expect(value).toBeCloseTo(expected[index] ?? Number.NaN, 4);
}

describe("numbers of a scale", () => {
  test("that other nodes read stay for them", async () => {
    const nodes = [...layer, named("/Pow", "Pow", ["sum", "two"], "square"), named("/Id", "Identity", ["square"], "y")];
    const base = small(nodes);
    const { out, report } = await rescaled(base, { bake: true });
    expect(report.modules).toMatchObject([{ name: "q", scaleBefore: 2, scaleAfter: 1, factor: 2, exact: true }]);
    expect(openOnnx(out).graph.nodes.find(({ opType }) => opType === "Pow")?.inputs).toEqual(["sum", "two"]);
    expect(constantsOf(out).get("two")).toBe("00000040");
    await expectSameOutputs(base, out);
  });

  test("may stand between the factors, be several, and divide", async () => {
    const nodes = [
      layer[0],
      layer[1],
      named("/q/Div", "Div", ["low", "eight"], "less"),
      named("/q/B", "MatMul", ["less", "b"], "high"),
      ...layer.slice(3),
      end,
    ].filter((one) => one !== undefined);
    const base = small(nodes, { name: "eight", shape: [1], value: () => 8 });
    const { out, report } = await rescaled(base, { bake: true });
    expect(report.modules).toMatchObject([{ scaleBefore: 0.25, scaleAfter: 1, factor: 0.25 }]);
    expect(["two", "eight"].map((key) => constantsOf(out).get(key))).toEqual(["0000803f", "0000803f"]);
    await expectSameOutputs(base, out);
    const other = await rescaled(base, { alpha: 6 });
    expect(other.report.modules).toMatchObject([{ scaleAfter: 3, factor: 0.25 / 3 }]);
    await expectSameOutputs(base, other.out);
  });

  test("that only divide hold the nearest inverse", async () => {
    const nodes = [...layer.slice(0, 3), named("/q/Div", "Div", ["high", "two"], "scaled"), ...layer.slice(4), end];
    const base = small(nodes);
    const { out, report } = await rescaled(base, { alpha: 6 });
    expect(report.modules[0]?.scaleAfter).toBe(1 / Math.fround(1 / 3));
    await expectSameOutputs(base, out);
  });

  test("of 16 bits are rounded, and the remainder is exact about it", async () => {
    const half = [
      constant({ name: "q.weight", shape: [6, 8], dtype: "f16" }),
      constant({ name: "a", shape: [8, 2], dtype: "f16" }),
      constant({ name: "b", shape: [2, 6], dtype: "f16" }),
      constant({ name: "two", shape: [], dtype: "f16", value: () => 2 }),
    ];
    const inputs = [valueBytes("x", 10, [3, 8])];
    const base = writeGraph({ tensors: half, nodes: [...layer, end], inputs, outputs: [valueBytes("y", 10, [3, 6])] });
    const { report } = await rescaled(base, { to: "rslora", alpha: 1 });
    const scale = 0.70703125;
    expect(report.modules).toMatchObject([{ scaleAfter: scale, factor: 2 / scale, exact: false }]);
    expect(report.result?.largestError).toBeLessThan(2 ** -11);
    const out = join(temporaryFolder(), "o.onnx");
    const error = await errorOfBuilt(() => rescale({ adapter: base, to: "lora", alpha: 1e-5, out }));
    expect(error.name).toBe("NonFiniteError");
    expect(readdirSync(dirname(out))).toEqual([]);
  });
});

describe("factors that layers share", () => {
  const twoLayers = (scale: string) => [
    ...layer,
    named("/p/Gemm", "Gemm", ["x", "p.weight"], "base2", intAttribute("transB", 1)),
    named("/p/A", "MatMul", ["x", "a"], "low2"),
    named("/p/B", "MatMul", ["low2", "b"], "high2"),
    named("/p/Mul", "Mul", ["high2", scale], "scaled2"),
    named("/p/Add", "Add", ["base2", "scaled2"], "sum2"),
    named("/Mul", "Mul", ["sum", "sum2"], "y"),
  ];
  const more = [
    { name: "p.weight", shape: [6, 8] },
    { name: "three", shape: [], value: () => 3 },
  ];

  test("stay shared where their scales are equal", async () => {
    const base = small(twoLayers("two"), ...more);
    const { out, report } = await rescaled(base, { bake: true });
    expect(report.modules.map(({ name, factor }) => [name, factor])).toEqual([
      ["q", 2],
      ["p", 2],
    ]);
    expect([...constantsOf(out).keys()]).toEqual([...constantsOf(base).keys()]);
    await expectSameOutputs(base, out);
  });

  test("part where they are not", async () => {
    const base = small(twoLayers("three"), ...more);
    const { out, report } = await rescaled(base, { bake: true });
    expect(report.modules.map(({ factor }) => factor)).toEqual([2, 3]);
    expect(constantsOf(out).size).toBe(constantsOf(base).size + 1);
    await expectSameOutputs(base, out);
  });
});

test("a graph with external data keeps it outside, next to the new model", async () => {
  const folder = temporaryFolder();
  const editor = new OnnxEditor(openOnnx(small([...layer, end])));
  editor.moveToExternalData(1);
  const base = join(folder, "base.onnx");
  const layout = editor.layOut("base.onnx");
  for (const { name } of layout.files) writeFileSync(join(folder, name), "");
  writeOnnx(layout, (name) => join(folder, name));
  const { out, report } = await rescaled(base, { bake: true });
  expect(report.result?.files).toEqual([`${out}_data`, out]);
  await expectSameOutputs(base, out);
});

describe("Olive's graphs hold no number", () => {
  const nodes = [...layer.slice(0, 3), named("/q/Add", "Add", ["high", "base"], "sum"), end];

  test("so --bake changes nothing", async () => {
    const base = small(nodes);
    const { out, report } = await rescaled(base, { bake: true });
    expect(report).toMatchObject({ weights: "same", modules: [{ scaleBefore: 1, scaleAfter: 1 }] });
    expect(readFileSync(out).equals(readFileSync(base))).toBe(true);
  });

  test("and --alpha is refused unless it means 1", async () => {
    const base = small(nodes);
    const error = await errorOfBuilt(() => rescaled(base, { alpha: 4 }));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(error.message).toContain('"q": the graph multiplies the branch with no number, so its scale is always 1');
    expect((await rescaled(base, { alpha: 2 })).report.weights).toBe("same");
  });
});

describe("is refused", () => {
  const waiting = (scale: boolean) =>
    writeGraph({
      tensors: tensors(),
      nodes: [
        ...layer,
        named("/p/Gemm", "Gemm", ["x", "q.weight"], "base2", intAttribute("transB", 1)),
        named("/p/A", "MatMul", ["x", "p.lora_A.weight"], "low2"),
        named("/p/B", "MatMul", ["low2", "p.lora_B.weight"], "high2"),
        named("/p/Mul", scale ? "Mul" : "Identity", scale ? ["high2", "two"] : ["high2"], "scaled2"),
        named("/p/Add", "Add", ["base2", "scaled2"], "sum2"),
        named("/Mul", "Mul", ["sum", "sum2"], "y"),
      ],
      inputs: [...io.inputs, valueBytes("p.lora_A.weight", 1, [8, "r"]), valueBytes("p.lora_B.weight", 1, ["r", 6])],
      outputs: io.outputs,
    });
  const ranks = [
    named("/z/A", "MatMul", ["x", "a3"], "low3"),
    named("/z/B", "MatMul", ["low3", "b3"], "high3"),
    named("/z/Add", "Add", ["sum", "high3"], "y"),
  ];
  const wider = [
    { name: "a3", shape: [8, 3] },
    { name: "b3", shape: [3, 6] },
  ];

  test.each<[string, () => string, Options, string, RegExp]>([
    [
      "a graph without branches",
      () => small([named("/q", "MatMul", ["x", "q.weight"], "y")]),
      { bake: true },
      "UNSUPPORTED_FORMAT",
      /without LoRA branches/,
    ],
    [
      "a branch that is read before it is scaled",
      () => small([...layer, named("/Relu", "Relu", ["high"], "r"), named("/Sum", "Add", ["r", "sum"], "y")]),
      { bake: true },
      "UNSUPPORTED_ADAPTER",
      /something else reads "high"/,
    ],
    [
      "padding to one rank",
      () => small([...layer, ...ranks], ...wider),
      { bake: true, flatten: true },
      "UNSUPPORTED_ADAPTER",
      /ranks that its factors have, here 2, 3/,
    ],
    [
      "a scaled branch that waits for factors",
      () => waiting(true),
      { bake: true },
      "UNSUPPORTED_ADAPTER",
      /come from outside of the graph, so its scale 2 must stay/,
    ],
  ])("%s", async (_, graph, options, code, message) => {
    const out = join(temporaryFolder(), "out.onnx");
    const adapter = graph();
    const error = await errorOfBuilt(() => rescale({ adapter, out, to: "lora", ...options }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(existsSync(out)).toBe(false);
  });

  test("not: an unscaled branch that waits for factors, which stays", async () => {
    const { report } = await rescaled(waiting(false), { bake: true });
    expect(report.modules).toHaveLength(1);
    expect(report.warnings.join()).toMatch(/branches that wait for factors stay as they are/);
  });

  test("a name that says that the output is something else", async () => {
    const adapter = small([...layer, end]);
    const out = join(temporaryFolder(), "out.safetensors");
    const error = await errorOfBuilt(() => rescale({ adapter, out, to: "lora", bake: true }));
    expect(error).toMatchObject({ code: "INVALID_OPTION", subject: out });
  });
});

test("the command tells the scale of each module, and a dry run writes nothing", async () => {
  const path = unpackGraph("conv2d", "unmerged-torchscript", false);
  const out = join(temporaryFolder(), "out.onnx");
  const args = ["rescale", path, "--to", "lora", "--bake", "-o", out];
  const dry = runCli([...args, "--dry-run"]);
  expect([dry.code, existsSync(out)]).toEqual([0, false]);
  const { code, stdout } = runCli(args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/3\.4641\S* → 1/);
  expect(stdout).toMatch(/lora_B rewritten/);
  expect(await inspect({ path: out })).toMatchObject({ kind: "model", graph: { branches: expect.any(Array) } });
});
