/** Graphs and outputs that are not what they should be: a typed error, nothing written, nothing left behind. */

import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LoraToolError, merge } from "lora-tool";
import { describe, expect, test } from "vitest";
import { OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import {
  type Bytes,
  graphAttribute,
  graphBytes,
  intAttribute,
  modelBytes,
  nodeBytes,
  sub,
  tensorBytes,
  valueBytes,
} from "../../formats/onnx/build.ts";
import { write } from "../../formats/onnx/open.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { temporaryFile, temporaryFolder } from "../../support/temporary-folder.ts";
import { pair, V, writeAdapter } from "../small-model.ts";
import { constant, named, writeGraph } from "./small-graph.ts";

const NODE = "/model/layers.0/self_attn/v_proj/Gemm";
const layer = (weight: string, output = "y") => named(NODE, "Gemm", ["x", weight], output, intAttribute("transB", 1));
const small = (tensors: readonly Bytes[] = [constant({ name: `${V}.weight`, shape: [6, 8] })]) =>
  modelBytes({
    tensors,
    nodes: [layer(`${V}.weight`)],
    inputs: [valueBytes("x", 1, ["n", 8])],
    outputs: [valueBytes("y", 1, ["n", 6])],
  });
const adapters = () => [{ path: writeAdapter(temporaryFolder(), pair(V), { target_modules: ["v_proj"] }) }];

/** The small model with its weight in `model.onnx_data`; returns the folder. */
function outside(): string {
  const editor = new OnnxEditor(openOnnx(temporaryFile("model.onnx", small())));
  editor.moveToExternalData(0);
  return write(editor).folder;
}

describe("a graph that is cut short", () => {
  test("anywhere in the model is refused", async () => {
    const bytes = small();
    const given = adapters();
    const out = join(temporaryFolder(), "o.onnx");
    for (let length = 0; length < bytes.length; length++) {
      const base = temporaryFile("model.onnx", bytes.subarray(0, length));
      const outcome = await merge({ base, adapters: given, out, dryRun: true }).catch((error: unknown) => error);
      // The operator sets come last; without them there is no model either.
      expect(outcome, `${length} bytes`).toBeInstanceOf(LoraToolError);
    }
  });

  test("anywhere in its data file is refused", async () => {
    const folder = outside();
    const data = readFileSync(join(folder, "model.onnx_data"));
    const given = adapters();
    for (let length = 0; length < data.length; length += 7) {
      writeFileSync(join(folder, "model.onnx_data"), data.subarray(0, length));
      const options = { base: join(folder, "model.onnx"), adapters: given, out: join(folder, "o.onnx"), dryRun: true };
      expect((await errorOfBuilt(() => merge(options))).code).toBe("INVALID_EXTERNAL_DATA");
    }
  });
});

describe("the output of a graph", () => {
  const target = (place: (folder: string, input: string) => void) => {
    const folder = temporaryFolder();
    place(folder, temporaryFile("input", "kept"));
    return folder;
  };

  test.each<[string, string, (folder: string, input: string) => void]>([
    ["an existing model", "OUTPUT_EXISTS", (folder) => writeFileSync(join(folder, "o.onnx"), "old")],
    ["an existing data file", "OUTPUT_EXISTS", (folder) => writeFileSync(join(folder, "o.onnx_data"), "old")],
    [
      "a link in the place of the model",
      "NOT_A_REGULAR_FILE",
      (folder, input) => symlinkSync(input, join(folder, "o.onnx")),
    ],
    [
      "a link in the place of the data",
      "NOT_A_REGULAR_FILE",
      (folder, input) => symlinkSync(input, join(folder, "o.onnx_data")),
    ],
    [
      "a hard link in the place of the data",
      "OUTPUT_EXISTS",
      (folder, input) => linkSync(input, join(folder, "o.onnx_data")),
    ],
    ["a folder in the place of the data", "OUTPUT_EXISTS", (folder) => mkdirSync(join(folder, "o.onnx_data"))],
  ])("does not replace %s", async (_, code, place) => {
    const folder = target(place);
    const before = readdirSync(folder);
    const options = {
      base: join(outside(), "model.onnx"),
      adapters: adapters(),
      out: join(folder, "o.onnx"),
      workers: 1,
    };
    expect((await errorOfBuilt(() => merge(options))).code).toBe(code);
    expect(readdirSync(folder)).toEqual(before);
  });

  test("is never the input, nor its data file", async () => {
    const folder = outside();
    const options = { base: join(folder, "model.onnx"), adapters: adapters(), workers: 1, overwrite: true };
    expect((await errorOfBuilt(() => merge({ ...options, out: join(folder, "model.onnx") }))).code).toBe("SAME_PATH");
    expect(readdirSync(folder).sort()).toEqual(["model.onnx", "model.onnx_data"]);
  });

  test("replaces model and data with --overwrite", async () => {
    const folder = target((place) => {
      writeFileSync(join(place, "o.onnx"), "old");
      writeFileSync(join(place, "o.onnx_data"), "old");
    });
    const options = {
      base: join(outside(), "model.onnx"),
      adapters: adapters(),
      out: join(folder, "o.onnx"),
      workers: 1,
    };
    await merge({ ...options, overwrite: true, verify: true });
    expect(readdirSync(folder).sort()).toEqual(["o.onnx", "o.onnx_data"]);
  });
});

test("a weight whose bytes another tensor shares gets bytes of its own", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "w.bin"), new Uint8Array(192));
  const at = (name: string) =>
    tensorBytes({
      name,
      dims: [6, 8],
      external: [
        ["location", "w.bin"],
        ["offset", "0"],
        ["length", "192"],
      ],
    });
  writeFileSync(join(folder, "model.onnx"), small([at(`${V}.weight`), at("other.weight")]));
  const out = join(temporaryFolder(), "model.onnx");
  await merge({ base: join(folder, "model.onnx"), adapters: adapters(), out, verify: true, workers: 1 });
  const { source } = openOnnx(out).store.tensors.get("other.weight") ?? {};
  expect(
    source?.kind === "file" &&
      readFileSync(source.path)
        .subarray(0, 192)
        .every((byte) => byte === 0),
  ).toBe(true);
});

describe("hostile graphs", () => {
  const weight = constant({ name: `${V}.weight`, shape: [6, 8] });

  test("names of nodes and metadata that lead nowhere", async () => {
    const names = [
      "/".repeat(5000),
      "/../../etc/MatMul",
      `/${"a/".repeat(2000)}MatMul`,
      "/__proto__/constructor/MatMul",
      "/\u001b[2J/MatMul",
    ];
    const nodes = names.map((name, index) => named(name, "MatMul", ["x", `onnx::MatMul_${index}`], `z${index}`));
    const scopes = `['${"a', '".repeat(3000)}`;
    const traced = [
      nodeBytes("MatMul", ["x", "val_1"], ["t"]),
      sub(9, sub(1, "pkg.torch.onnx.name_scopes"), sub(2, scopes)),
    ];
    const tensors = [weight, constant({ name: "val_1", shape: [8, 6] })];
    for (const index of names.keys()) tensors.push(constant({ name: `onnx::MatMul_${index}`, shape: [8, 6] }));
    const all = [layer(`${V}.weight`), ...nodes, Uint8Array.from(Buffer.concat(traced))];
    const out = join(temporaryFolder(), "o.onnx");
    const report = await merge({ base: writeGraph({ tensors, nodes: all }), adapters: adapters(), out, workers: 1 });
    expect(report.tensors.merge).toBe(1);
  });

  test("nodes in a circle", async () => {
    const nodes = [
      layer(`${V}.weight`, "base"),
      named("", "Identity", ["b"], "a"),
      named("", "Mul", ["a", "half"], "b"),
      named("", "Add", ["base", "b"], "y"),
      named("", "Add", ["sum2", "b"], "sum1"),
      named("", "Add", ["sum1", "b"], "sum2"),
    ];
    const base = writeGraph({ tensors: [weight, constant({ name: "half", shape: [] })], nodes });
    const error = await errorOfBuilt(() =>
      merge({ base, adapters: [], fold: true, out: join(temporaryFolder(), "o.onnx") }),
    );
    expect(error.message).toMatch(/no LoRA branches/);
  });

  test("a value that a hundred thousand nodes read", async () => {
    const nodes = Array.from({ length: 100_000 }, (_, index) => nodeBytes("Add", ["x", "one"], [`s${index}`]));
    const tensors = [weight, constant({ name: "one", shape: [8] })];
    const base = writeGraph({ tensors, nodes: [layer(`${V}.weight`), ...nodes] });
    const report = await merge({ base, adapters: adapters(), out: join(temporaryFolder(), "o.onnx"), dryRun: true });
    expect(report.tensors.merge).toBe(1);
  });

  test("subgraphs deeper than the reader goes", async () => {
    let inner = graphBytes({ nodes: [nodeBytes("Neg", ["x"], ["z"])] });
    for (let depth = 0; depth < 200; depth++) {
      inner = graphBytes({ nodes: [nodeBytes("If", ["c"], [`z${depth}`], graphAttribute("then_branch", inner))] });
    }
    const node = nodeBytes("If", ["c"], ["q"], graphAttribute("then_branch", inner));
    const base = writeGraph({ tensors: [weight], nodes: [layer(`${V}.weight`), node] });
    const options = { base, adapters: adapters(), out: join(temporaryFolder(), "o.onnx"), dryRun: true };
    expect((await errorOfBuilt(() => merge(options))).code).toMatch(/^INVALID_/);
  });

  test("a shared constant behind a node that serves several layers", async () => {
    const q = NODE.replace("v_proj/Gemm", "q_proj/MatMul");
    const nodes = [
      nodeBytes("Cast", ["w"], ["cast"], intAttribute("to", 1)),
      named(q, "MatMul", ["x", "cast"], "a"),
      named(NODE.replace("Gemm", "MatMul"), "MatMul", ["x", "cast"], "b"),
    ];
    const base = writeGraph({ tensors: [constant({ name: "w", shape: [8, 6] })], nodes });
    const error = await errorOfBuilt(() =>
      merge({ base, adapters: adapters(), out: join(temporaryFolder(), "o.onnx") }),
    );
    expect(error.code).toBe("UNSUPPORTED_MODEL");
    expect(error.message).toMatch(/only some layers that share the constant are edited/);
  });
});
