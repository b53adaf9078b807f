/** .onnx files that training can start from in part, and those that it refuses. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { train } from "lora-tool";
import { describe, expect, it } from "vitest";
import { encodeGraph } from "../../../src/formats/onnx/encoder.ts";
import type { Graph, GraphNode, ValueInfo } from "../../../src/formats/onnx/graph.ts";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import { openOnnxBase } from "../../../src/train/base/onnx/onnx-base.ts";
import { declareTokenInputs } from "../../../src/train/base/token-inputs.ts";
import { graph, node, value } from "../../engine/graphs.ts";
import { int, tensorOf, x } from "../../graph/specialise/one-node.ts";
import { errorOf, errorOfBuilt } from "../../support/errors.ts";
import { exportPath } from "../../support/onnx-train.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { lossesOf, ROWS } from "../run-fixture.ts";

const [WIDTH, TOKENS] = [4, 6];
const ids = value("input_ids", "i64", ["b", "s"]);
const named = (name: string, one: GraphNode): GraphNode => ({ ...one, name });
const embedding = named("/model/embed/Gather", node("Gather", ["table", "input_ids"], ["h0"]));
const inner = named("/model/inner/MatMul", node("MatMul", ["h0", "w"], ["h1"]));
const head = named("/model/head/MatMul", node("MatMul", ["h1", "v"], ["logits"]));

function model(nodes: readonly GraphNode[], inputs: readonly ValueInfo[] = [ids], output = "logits"): Graph {
  const tensors = [
    tensorOf("table", x(TOKENS, WIDTH)),
    tensorOf("w", x(WIDTH, WIDTH)),
    tensorOf("v", x(WIDTH, TOKENS)),
  ];
  return {
    ...graph(nodes, inputs, [value(output, "f32", undefined)], tensors),
    irVersion: 10,
    opsetImports: new Map([["", 20]]),
  };
}

function fileOf(one: Graph): string {
  const path = join(temporaryFolder(), "model.onnx");
  writeFileSync(
    path,
    encodeGraph(one, () => undefined),
  );
  return path;
}

describe("an .onnx file as a base", () => {
  it("has layers by their paths without the wrapper's name, and a head apart", () => {
    const base = openOnnxBase(fileOf(model([embedding, inner, head])));
    expect(
      base.layers.map(({ module, kind, isHead, inputs, outputs }) => [module, kind, isHead, inputs, outputs]),
    ).toEqual([
      ["embed", "embedding", false, TOKENS, WIDTH],
      ["inner", "linear", false, WIDTH, WIDTH],
      ["head", "linear", true, WIDTH, TOKENS],
    ]);
    expect(base).toMatchObject({ vocabulary: TOKENS, packs: false, fixed: { rows: undefined, length: undefined } });
  });

  it("warns of matrices that no node names", () => {
    const base = openOnnxBase(fileOf(model([embedding, { ...inner, name: "" }, head])));
    expect(base.layers.map(({ module }) => module)).toEqual(["embed", "head"]);
    expect(base.warnings.join()).toContain('which get no adapter: "w"');
  });

  it("projects rows through what treats them alike, and takes the logits for hidden rows where something does not", () => {
    const scaled = model([embedding, inner, { ...head, outputs: ["raw"] }, node("Tanh", ["raw"], ["logits"])]);
    const sorted = model([
      embedding,
      inner,
      { ...head, outputs: ["raw"] },
      node("Softmax", ["raw"], ["logits"], { axis: int(1) }),
    ]);
    const widthOf = (one: Graph) => {
      const g = new GraphBuilder();
      const { hidden, project } = openOnnxBase(fileOf(one)).forward(
        g,
        declareTokenInputs(g, 2, 3),
        (_, { base }) => base,
      );
      const rows = g.reshape(hidden, [6, -1]);
      expect(project(g.slice(rows, [0], [5], [0])).shape).toEqual([5, TOKENS]);
      expect(project(rows).shape).toEqual([6, TOKENS]);
      return hidden.shape;
    };
    expect(widthOf(scaled)).toEqual([2, 3, WIDTH]);
    expect(widthOf(sorted)).toEqual([2, 3, TOKENS]);
  });

  it("fills batches up to the sizes that the file fixes, with what teaches nothing", async () => {
    const run = async (file: string, options: object) => {
      const out = join(temporaryFolder(), "adapter");
      await train({
        base: exportPath(file),
        data: ROWS,
        out,
        steps: 4,
        rank: 4,
        lr: 1e-2,
        device: "cpu",
        shuffle: false,
        ...options,
      });
      return lossesOf(out);
    };
    const options = { batchSize: 1, gradAccum: 2, maxLength: 6 };
    const [fixed, free] = [await run("llama.static-dynamo", options), await run("llama.dynamo", options)];
    for (const [index, line] of fixed.entries()) {
      for (const [at, number] of line.entries()) expect(number).toBeCloseTo(free[index]?.[at] ?? Number.NaN, 4);
    }
  });

  it.each([
    [{ batchSize: 4 }, "--batch-size 2"],
    [{ batchSize: 2, packing: true }, ".onnx"],
  ] as const)("is refused with batches that it does not compute with: %o", async (options, hint) => {
    const path = exportPath("llama.static-dynamo");
    const error = await errorOfBuilt(() =>
      train({ base: path, data: ROWS, out: join(temporaryFolder(), "a"), ...options }),
    );
    expect(error).toMatchObject({ code: "INVALID_OPTION", file: path });
    expect(error.hint).toContain(hint);
  });

  it.each([
    ["norms to which the exporter has added 1", "norm", "no module of the base", "norms with 1 added"],
    ["modules that get an adapter", "proj", "q_proj", "whole last part of its name"],
  ])("is refused for training whole %s", async (_, name, problem, hint) => {
    const error = await errorOfBuilt(() =>
      train({
        base: exportPath("gemma3.dynamo"),
        data: ROWS,
        out: join(temporaryFolder(), "a"),
        modulesToSave: [name],
      }),
    );
    expect(error.code).toBe("INVALID_OPTION");
    expect(error.message).toContain(problem);
    expect(error.hint).toContain(hint);
  });
});

describe("an .onnx file that is no base", () => {
  const fixed = (name: string, ...shape: (number | string)[]) => value(name, "i64", shape);

  it.each([
    [
      "no tokens",
      model([{ ...inner, inputs: ["inputs_embeds", "w"] }, head], [value("inputs_embeds", "f32", ["b", "s", 4])]),
      "input_ids",
    ],
    ["tokens of another rank", model([embedding, inner, head], [fixed("input_ids", "s")]), "input_ids"],
    [
      "an input that nothing is known about",
      model([embedding, inner, head], [ids, value("pixel_values", "f32", [1])]),
      "pixel_values",
    ],
    [
      "a cache of fixed length",
      model([embedding, inner, head], [ids, value("past_key_values.0.key", "f32", ["b", 2, 3, 4])]),
      "past_key_values.0.key",
    ],
    [
      "logits of the last token only",
      model([embedding, inner, node("ReduceMean", ["h1", "axes"], ["last"]), { ...head, inputs: ["last", "v"] }]),
      "logits",
    ],
    ["nodes without names", model([embedding, inner, head].map((one) => ({ ...one, name: "" }))), "layer"],
    [
      "an operator without a rule",
      model([embedding, inner, named("odd", node("Celu", ["h1"], ["h2"])), { ...head, inputs: ["h2", "v"] }]),
      '"odd"',
    ],
    [
      "several outputs without a name for logits",
      { ...model([embedding, inner, head]), outputs: [value("h0", "f32", undefined), value("h1", "f32", undefined)] },
      "logits",
    ],
  ] as const)("is refused: %s", async (_, one, mentioned) => {
    const axes = tensorOf("axes", { dtype: "i64", shape: [1], data: [1] });
    const path = fileOf({ ...one, initialisers: new Map([...one.initialisers, ["axes", axes]]) });
    const error = await errorOf(() => openOnnxBase(path));
    expect(error.code).toMatch(/^UNSUPPORTED_/);
    expect(error.file).toBe(path);
    expect(error.message).toContain(mentioned);
  });
});
