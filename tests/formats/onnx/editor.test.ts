import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import type { OnnxModel } from "../../../src/formats/onnx/model.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import {
  type Bytes,
  concat,
  floats,
  graphAttribute,
  graphBytes,
  int,
  modelBytes,
  nodeBytes,
  sub,
  tensorAttribute,
  tensorBytes,
  unknownFieldsModel,
  valueBytes,
  varintBytes,
} from "./build.ts";
import { bytesIn, openBytes, write } from "./open.ts";

const F32 = { dtype: "f32" } as const;
const memory = (bytes: Bytes) => ({ kind: "memory", bytes }) as const;
const fill = (bytes: Bytes) => () => bytes;

/** The file with one range replaced. */
function replaced(bytes: Bytes, old: Bytes, by: Bytes): Buffer {
  const at = Buffer.from(bytes).indexOf(old);
  if (at < 0) throw new Error("the bytes to be replaced are not there");
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + old.length)]);
}

describe("a model without changes", () => {
  const padded = concat(int(1, 10), sub(8, int(2, 20)), Uint8Array.of(0x3a, 0x84, 0x80, 0x80, 0), sub(2, "gg"));
  test.each<[string, Bytes]>([
    ["with unknown fields and groups at every level", unknownFieldsModel()],
    ["whose graph comes in parts", modelBytes({ model: [sub(7, sub(5, tensorBytes({ name: "v", raw: floats(1) })))] })],
    ["with lengths that are longer than they need to be", padded],
    [
      "with names that are not UTF-8",
      modelBytes({ tensors: [tensorBytes({ name: Uint8Array.of(0xff), raw: floats(1) })] }),
    ],
  ])("is written byte for byte, %s", (_, bytes) => {
    const written = write(new OnnxEditor(openBytes(bytes)));
    expect(written.file().equals(bytes)).toBe(true);
    expect(written.layout.files).toHaveLength(1);
    expect(written.layout.tensors.size).toBe(0);
  });
});

describe("a tensor that keeps dtype and shape", () => {
  const old = floats(1, 2, 3, 4, 5, 6);
  const values = floats(6, 5, 4, 3, 2, 1);

  test("is overwritten in place, and nothing else changes", () => {
    const bytes = unknownFieldsModel();
    const editor = new OnnxEditor(openBytes(bytes));
    editor.setTensor("w", { ...F32, shape: [2, 3] });
    const written = write(editor, { fill: fill(values) });
    expect(written.file().equals(replaced(bytes, old, values))).toBe(true);
    expect(written.layout.tensors.get("w")).toMatchObject({ file: "model.onnx", byteLength: 24 });
  });

  test.each<[string, Bytes, string]>([
    ["packed float_data", modelBytes({ tensors: [tensorBytes({ dims: [6], extra: [sub(4, old)] })] }), "w"],
    [
      "a Constant node",
      modelBytes({
        nodes: [nodeBytes("Constant", [], ["c"], tensorAttribute("value", tensorBytes({ dims: [6], raw: old })))],
      }),
      "c",
    ],
    [
      "a subgraph",
      modelBytes({
        nodes: [
          nodeBytes(
            "If",
            ["b"],
            ["y"],
            graphAttribute("then_branch", graphBytes({ tensors: [tensorBytes({ dims: [6], raw: old })] })),
          ),
        ],
      }),
      "If#0.then_branch/w",
    ],
    [
      "a function",
      modelBytes({
        model: [
          sub(
            25,
            sub(1, "f"),
            sub(9, int(2, 20)),
            sub(7, nodeBytes("Constant", [], ["c"], tensorAttribute("value", tensorBytes({ dims: [6], raw: old })))),
          ),
        ],
      }),
      "function#0/c",
    ],
  ])("is overwritten in %s", (_, bytes, key) => {
    const editor = new OnnxEditor(openBytes(bytes));
    editor.setTensor(key, { ...F32, shape: [6], source: memory(values) });
    expect(
      write(editor)
        .file()
        .equals(replaced(bytes, old, values)),
    ).toBe(true);
  });

  test.each<[string, readonly Bytes[]]>([
    ["floats one by one", [1, 2].map((value) => concat(varintBytes(4 * 8 + 5), floats(value)))],
    ["floats in several packed pieces", [sub(4, floats(1)), sub(4, floats(2))]],
  ])("becomes raw_data where it was %s", (_, fields) => {
    const kept = [sub(12, "a doc string"), sub(4_000, "unknown")];
    const bytes = modelBytes({
      tensors: [tensorBytes({ dims: [2], extra: [...fields.slice(0, 1), ...kept, ...fields.slice(1)] })],
    });
    const editor = new OnnxEditor(openBytes(bytes));
    editor.setTensor("w", { ...F32, shape: [2], source: memory(floats(8, 9)) });
    const written = write(editor);
    const tensor = concat(sub(8, "w"), ...kept, int(1, 2), int(2, 1), sub(9, floats(8, 9)));
    expect(written.file().equals(modelBytes({ tensors: [tensor] }))).toBe(true);
    expect(bytesIn(written.open(), "w")).toEqual(floats(8, 9));
  });

  test("can be f16 in int32_data", () => {
    const bytes = modelBytes({
      tensors: [tensorBytes({ dims: [2], type: 10, extra: [int(5, 0x3c00), int(5, 0x4000)] })],
    });
    const editor = new OnnxEditor(openBytes(bytes));
    editor.setTensor("w", { dtype: "f16", shape: [2] });
    const written = write(editor, { fill: fill(Uint8Array.of(1, 2, 3, 4)) }).open();
    expect(written.store.tensors.get("w")).toMatchObject({ dtype: "f16", shape: [2] });
    expect(bytesIn(written, "w")).toEqual(Uint8Array.of(1, 2, 3, 4));
  });
});

describe("structural edits", () => {
  test("change type and shape of a tensor and keep the rest of it", () => {
    const editor = new OnnxEditor(openBytes(unknownFieldsModel()));
    editor.setTensor("w", { dtype: "bf16", shape: [1, 2], source: memory(Uint8Array.of(1, 2, 3, 4)) });
    const written = write(editor);
    const model = written.open();
    expect(model.store.tensors.get("w")).toMatchObject({ dtype: "bf16", shape: [1, 2], byteLength: 4 });
    expect(bytesIn(model, "w")).toEqual(Uint8Array.of(1, 2, 3, 4));
    // The unknown fields of every level, six of them.
    expect(written.file().toString("latin1").split("kept")).toHaveLength(7);
  });

  test("add and clone initialisers, replace inputs, remove nodes, values and initialisers", () => {
    const bytes = modelBytes({
      tensors: [tensorBytes({ dims: [2], raw: floats(1, 2) }), tensorBytes({ name: "gone", raw: floats(9) })],
      nodes: [
        nodeBytes("Add", ["x", "w"], ["a"]),
        nodeBytes("Neg", ["a"], ["dead"]),
        nodeBytes("Mul", ["a", "w", "w"], ["y"]),
      ],
      inputs: [valueBytes("x"), valueBytes("unused")],
      outputs: [valueBytes("y"), valueBytes("dead")],
    });
    const model = openBytes(bytes);
    const editor = new OnnxEditor(model);
    const [add, neg, mul] = model.graph.nodes;
    const unused = model.graph.inputs[1];
    const deadOutput = model.graph.outputs[1];
    if (!add || !neg || !mul || !unused || !deadOutput) throw new Error("expected three nodes");
    expect(editor.cloneInitialiser("w", "w_copy")).toBe("w_copy");
    expect(editor.addInitialiser("fresh", { ...F32, shape: [1] })).toBe("fresh");
    editor.setInput(mul, 1, "w_copy");
    editor.setInput(mul, 2, "fresh");
    editor.setInput(add, 0, "a much longer name than the one before, so that lengths take more bytes".repeat(3));
    editor.removeNode(neg);
    editor.removeValue(unused);
    editor.removeValue(deadOutput);
    editor.removeInitialiser("gone");
    const written = write(editor, { fill: fill(floats(5)) });
    const after = written.open();
    expect([...after.store.tensors.keys()]).toEqual(["w", "w_copy", "fresh"]);
    expect(bytesIn(after, "w_copy")).toEqual(floats(1, 2));
    expect(bytesIn(after, "fresh")).toEqual(floats(5));
    expect(after.graph.nodes.map(({ opType, inputs }) => [opType, inputs.slice(1)])).toEqual([
      ["Add", ["w"]],
      ["Mul", ["w_copy", "fresh"]],
    ]);
    expect([...after.graph.inputs, ...after.graph.outputs].map(({ name }) => name)).toEqual(["x", "y"]);
  });

  test("go into subgraphs and let every length around them follow", () => {
    const inner = graphBytes({ tensors: [tensorBytes({ raw: floats(1) })], nodes: [nodeBytes("Neg", ["w"], ["y"])] });
    const bytes = modelBytes({ nodes: [nodeBytes("If", ["c"], ["z"], graphAttribute("then_branch", inner))] });
    const model = openBytes(bytes);
    const editor = new OnnxEditor(model);
    expect(editor.cloneInitialiser("If#0.then_branch/w", "copy")).toBe("If#0.then_branch/copy");
    const after = write(editor).open();
    expect(bytesIn(after, "If#0.then_branch/copy")).toEqual(floats(1));
    expect(after.graph.initialisers.size).toBe(0);
  });

  test("inside of something that is removed go with it", () => {
    const inner = graphBytes({ tensors: [tensorBytes({ raw: floats(1) })] });
    const model = openBytes(
      modelBytes({ nodes: [nodeBytes("If", ["c"], ["z"], graphAttribute("then_branch", inner))] }),
    );
    const editor = new OnnxEditor(model);
    editor.setTensor("If#0.then_branch/w", { ...F32, shape: [] });
    const [node] = model.graph.nodes;
    if (node !== undefined) editor.removeNode(node);
    const written = write(editor);
    expect(written.file().equals(modelBytes())).toBe(true);
    expect(written.layout.tensors.size).toBe(0);
  });

  const bytes = modelBytes({
    tensors: [tensorBytes({ raw: floats(1) })],
    nodes: [nodeBytes("Constant", [], ["c"], tensorAttribute("value", tensorBytes({ raw: floats(2) })))],
    inputs: [valueBytes("x")],
  });
  test.each<[string, string, (editor: OnnxEditor, model: OnnxModel) => unknown]>([
    ["a name that is an initialiser's", "DUPLICATE_KEY", (editor) => editor.addInitialiser("w", { ...F32, shape: [] })],
    ["a name that is an input's", "DUPLICATE_KEY", (editor) => editor.addInitialiser("x", { ...F32, shape: [] })],
    ["a name that is a node's output", "DUPLICATE_KEY", (editor) => editor.cloneInitialiser("w", "c")],
    ["an empty name", "DUPLICATE_KEY", (editor) => editor.addInitialiser("", { ...F32, shape: [] })],
    ["a tensor that is not there", "UNSUPPORTED_MODEL", (editor) => editor.setTensor("nowhere", { ...F32, shape: [] })],
    ["text", "UNSUPPORTED_DTYPE", (editor) => editor.setTensor("w", { dtype: "string", shape: [] })],
    [
      "a shape that overflows",
      "INVALID_SHAPE",
      (editor) => editor.setTensor("w", { ...F32, shape: [2 ** 30, 2 ** 30] }),
    ],
    [
      "an input that a node does not have",
      "UNSUPPORTED_MODEL",
      (editor, { graph }) => graph.nodes[0] && editor.setInput(graph.nodes[0], 0, "w"),
    ],
    ["removing a Constant node as an initialiser", "UNSUPPORTED_MODEL", (editor) => editor.removeInitialiser("c")],
  ])("refuse %s", async (_, code, edit) => {
    const model = openBytes(bytes);
    expect((await errorOf(() => edit(new OnnxEditor(model), model))).code).toBe(code);
  });

  test("refuse a model that changed since it was opened", async () => {
    const model = openBytes(bytes);
    writeFileSync(model.path, bytes.subarray(1));
    expect((await errorOf(() => new OnnxEditor(model).layOut("model.onnx"))).code).toBe("INPUT_CHANGED");
  });
});

describe("external data", () => {
  const data = floats(...Array.from({ length: 16 }, (_, index) => index));
  const at = (name: string, offset: number, ...more: readonly (readonly [string, string])[]) =>
    tensorBytes({
      name,
      dims: [4],
      external: [["location", "model.onnx_data"], ["offset", String(offset)], ["length", "16"], ...more],
    });

  function modelOutside(...tensors: readonly Bytes[]): { readonly model: OnnxModel; readonly bytes: Bytes } {
    const folder = temporaryFolder();
    const bytes = modelBytes({ tensors });
    writeFileSync(join(folder, "model.onnx"), bytes);
    writeFileSync(join(folder, "model.onnx_data"), data);
    return { model: openOnnx(join(folder, "model.onnx")), bytes };
  }

  test("stays as it is, byte for byte, model and data", () => {
    const { model, bytes } = modelOutside(at("a", 4), at("b", 32));
    const written = write(new OnnxEditor(model));
    expect(written.layout.files.map(({ name }) => name)).toEqual(["model.onnx_data", "model.onnx"]);
    expect(written.file().equals(bytes)).toBe(true);
    expect(written.file("model.onnx_data").equals(data)).toBe(true);
  });

  test("is overwritten in place, at any offset, and the model stays as it is", () => {
    const { model, bytes } = modelOutside(at("a", 4), at("b", 33));
    const editor = new OnnxEditor(model);
    editor.setTensor("b", { ...F32, shape: [4] });
    const written = write(editor, { fill: fill(floats(-1, -2, -3, -4)) });
    expect(written.file().equals(bytes)).toBe(true);
    const expected = Buffer.from(data);
    expected.set(floats(-1, -2, -3, -4), 33);
    expect(written.file("model.onnx_data").equals(expected)).toBe(true);
  });

  test("that tensors share is not overwritten: the changed one gets a place of its own", () => {
    const { model } = modelOutside(at("a", 0), at("b", 12), at("c", 32));
    const editor = new OnnxEditor(model);
    editor.setTensor("a", { ...F32, shape: [4], source: memory(floats(9, 9, 9, 9)) });
    const written = write(editor);
    expect(written.file("model.onnx_data").subarray(0, 64).equals(data)).toBe(true);
    const after = written.open();
    expect(written.layout.tensors.get("a")).toEqual({ file: "model.onnx_data", offset: 4_096, byteLength: 16 });
    expect(bytesIn(after, "a")).toEqual(floats(9, 9, 9, 9));
    expect(bytesIn(after, "b")).toEqual(floats(3, 4, 5, 6));
  });

  test("follows the name of a model that is written under another one", () => {
    const { model } = modelOutside(at("a", 4));
    const written = write(new OnnxEditor(model), { name: "merged.onnx" });
    expect(written.layout.files.map(({ name }) => name)).toEqual(["merged.onnx_data", "merged.onnx"]);
    expect(bytesIn(written.open(), "a")).toEqual(floats(1, 2, 3, 4));
  });

  test.each(["sub/w.data", ".profile", "conftest.py", "MODEL.ONNX", "a b", "-rf.bin"])(
    "never decides what is written: %s",
    (location) => {
      const folder = temporaryFolder();
      const path = join(folder, "model.onnx");

      mkdirSync(join(folder, "sub"));
      writeFileSync(path, modelBytes({ tensors: [tensorBytes({ dims: [4], external: [["location", location]] })] }));
      writeFileSync(join(folder, location), floats(1, 2, 3, 4));
      const written = write(new OnnxEditor(openOnnx(path)));
      expect(written.layout.files.map(({ name }) => name)).toEqual(["model.onnx_data", "model.onnx"]);
      expect(bytesIn(written.open(), "w")).toEqual(floats(1, 2, 3, 4));
    },
  );

  test("has its checksum made anew where its bytes change", () => {
    const sha1 = createHash("sha1").update(data).digest("hex");
    const { model } = modelOutside(at("a", 0, ["checksum", sha1]), at("b", 32, ["checksum", sha1]));
    const editor = new OnnxEditor(model);
    editor.setTensor("b", { ...F32, shape: [4] });
    const written = write(editor, { fill: fill(floats(-1, -2, -3, -4)) });
    const now = createHash("sha1").update(written.file("model.onnx_data")).digest("hex");
    // Opening compares them.
    expect(written.open().graph.initialisers.get("a")?.external?.checksum).toBe(now);
    expect(write(new OnnxEditor(model)).file().includes(sha1)).toBe(true);
  });

  test("takes what outgrows the model file, aligned to pages, and keeps small tensors and text inside", () => {
    const large = new Uint8Array(2 * 1024 * 1024).fill(7);
    const medium = new Uint8Array(1_500).fill(8);
    const text = tensorBytes({ name: "text", dims: [1], type: 8, extra: [sub(6, "x".repeat(2_000))] });
    const bytes = modelBytes({
      tensors: [
        tensorBytes({ name: "medium", dims: [1_500], type: 2, raw: medium }),
        tensorBytes({ name: "large", dims: [large.length], type: 2, raw: large, extra: [sub(12, "kept")] }),
        tensorBytes({ name: "small", dims: [3], type: 2, raw: Uint8Array.of(1, 2, 3) }),
        text,
      ],
    });
    const editor = new OnnxEditor(openBytes(bytes));
    const written = write(editor, { maxModelBytes: 10_000 });
    expect(written.layout.files.map(({ name }) => name)).toEqual(["model.onnx_data", "model.onnx"]);
    expect(Object.fromEntries(written.layout.tensors)).toEqual({
      medium: { file: "model.onnx_data", offset: 0, byteLength: 1_500 },
      large: { file: "model.onnx_data", offset: 65_536, byteLength: large.length },
    });
    const after = written.open();
    for (const name of ["medium", "large", "small", "text"]) {
      expect(Buffer.compare(bytesIn(after, name), bytesIn(editor.model, name))).toBe(0);
    }
    expect(written.file().includes("kept")).toBe(true);
  });

  test("takes tensors that are moved there, however small, and added ones", () => {
    const model = openBytes(unknownFieldsModel());
    const editor = new OnnxEditor(model);
    editor.moveToExternalData(0);
    editor.addInitialiser("v", { ...F32, shape: [1] });
    const written = write(editor, { fill: fill(floats(3)) });
    expect([...written.layout.tensors.values()].map(({ file, offset }) => [file, offset])).toEqual([
      ["model.onnx_data", 0],
      ["model.onnx_data", 4_096],
    ]);
    const after = written.open();
    const w = after.graph.initialisers.get("w");
    expect(w?.external?.location).toBe("model.onnx_data");
    expect(w && Uint8Array.from(readTensorBytes(w.data))).toEqual(floats(1, 2, 3, 4, 5, 6));
    expect(bytesIn(after, "v")).toEqual(floats(3));
  });

  test("does not help a model whose structure alone is too large", async () => {
    const editor = new OnnxEditor(openBytes(unknownFieldsModel()));
    expect((await errorOf(() => editor.layOut("model.onnx", { maxModelBytes: 100 }))).code).toBe("UNSUPPORTED_MODEL");
  });

  test("grows by whole layouts only: a plan for a 6 GB model writes nothing", () => {
    const editor = new OnnxEditor(openBytes(unknownFieldsModel()));
    editor.addInitialiser("huge", { dtype: "u8", shape: [6 * 2 ** 30] });
    const { files, tensors } = editor.layOut("model.onnx");
    expect(tensors.get("huge")).toEqual({ file: "model.onnx_data", offset: 0, byteLength: 6 * 2 ** 30 });
    expect(files.at(-1)?.byteLength).toBeLessThan(1_000);
  });
});
