/** Merging into graphs of a few layers: dtypes, places of weights, shared and quantised constants, refusals. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { decodeElement } from "../../../src/core/cast/float-codec.ts";
import type { Dtype, FloatDtype } from "../../../src/core/dtype.ts";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import {
  concat,
  floats,
  intAttribute,
  intsAttribute,
  nodeBytes,
  tensorAttribute,
  tensorBytes,
  valueBytes,
} from "../../formats/onnx/build.ts";
import { write } from "../../formats/onnx/open.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { pair, Q, type SmallTensors, V, writeAdapter, writeTensors } from "../small-model.ts";
import { constant, named, turned, writeGraph } from "./small-graph.ts";

const NODE = `/${Q.replaceAll(".", "/").replace("layers/0", "layers.0")}`;
const IO = { inputs: [valueBytes("x", 1, ["n", 8])], outputs: [valueBytes("y", 1, ["n", 6])] };

/** A layer whose weight is turned and nameless, and one that keeps its name. */
function twoLayers(dtype: Dtype = "f32", extra: Parameters<typeof writeGraph>[0] = {}): string {
  return writeGraph({
    tensors: [
      constant({ name: "onnx::MatMul_1", shape: [8, 6], dtype, value: turned(6, 8) }),
      constant({ name: `${V}.weight`, shape: [6, 8], dtype }),
      constant({ name: "codes", shape: [5], dtype: "u8" }),
      ...(extra.tensors ?? []),
    ],
    nodes: [
      named(`${NODE}/MatMul`, "MatMul", ["x", "onnx::MatMul_1"], "q"),
      named(`${NODE.replace("q_proj", "v_proj")}/Gemm`, "Gemm", ["x", `${V}.weight`], "v", intAttribute("transB", 1)),
      named("/Add", "Add", ["q", "v"], "y"),
      ...(extra.nodes ?? []),
    ],
    ...IO,
  });
}

function weightOf(path: string, key: string): Buffer {
  const tensor = path.endsWith(".onnx")
    ? openOnnx(path).store.tensors.get(key)
    : openSafetensors(path).tensors.get(key);
  if (tensor === undefined) throw new Error(`no ${key} in ${path}`);
  return Buffer.from(readTensorBytes(tensor));
}

/** [8, 6] as it lies in a graph → [6, 8]. */
function turnBack(bytes: Buffer): Buffer {
  const width = bytes.length / 48;
  const out = Buffer.alloc(bytes.length);
  for (let at = 0; at < 48; at++)
    bytes.copy(out, ((at % 6) * 8 + Math.floor(at / 6)) * width, at * width, (at + 1) * width);
  return out;
}

async function mergedSafetensors(
  adapters: readonly { path: string; weight?: number }[],
  dtype: Dtype,
  options: object = {},
) {
  const folder = temporaryFolder();
  const tensors: SmallTensors = {
    [`${Q}.weight`]: { shape: [6, 8], dtype },
    [`${V}.weight`]: { shape: [6, 8], dtype },
  };
  writeTensors(join(folder, "base.safetensors"), tensors);
  const out = join(folder, "merged.safetensors");
  await merge({ base: join(folder, "base.safetensors"), adapters, out, workers: 1, ...options });
  return out;
}

describe("a graph gets the bits of the safetensors merge", () => {
  test.each<Dtype>(["f32", "f16", "bf16", "f64"])("in %s", async (dtype) => {
    const folder = temporaryFolder();
    const adapters = [
      { path: writeAdapter(folder), weight: 0.7 },
      { path: writeAdapter(folder, undefined, { use_rslora: true }, "second") },
    ];
    const out = join(folder, "out.onnx");
    await merge({ base: twoLayers(dtype), adapters, out, verify: true, workers: 1 });
    const expected = await mergedSafetensors(adapters, dtype);
    expect(weightOf(out, `${V}.weight`)).toEqual(weightOf(expected, `${V}.weight`));
    const [found, right] = [turnBack(weightOf(out, "onnx::MatMul_1")), weightOf(expected, `${Q}.weight`)];
    // A turned product sums in another order, which the last bit of f32 shows.
    if (dtype === "f16" || dtype === "bf16") expect(found).toEqual(right);
    const read = (bytes: Buffer, at: number) => decodeElement(dtype as FloatDtype, bytes, (at * bytes.length) / 48);
    for (let at = 0; at < 48; at++) expect(read(found, at)).toBeCloseTo(read(right, at), 6);
  });

  test("with DoRA and the methods of combination", async () => {
    const folder = temporaryFolder();
    const magnitude = {
      [`base_model.model.${Q}.lora_magnitude_vector`]: { shape: [6], value: (index: number) => 1 + index / 8 },
    };
    const dora = writeAdapter(folder, { ...pair(Q), ...magnitude }, { use_dora: true, target_modules: ["q_proj"] });
    const plain = [
      { path: writeAdapter(folder, undefined, {}, "a") },
      { path: writeAdapter(folder, undefined, { lora_alpha: 1 }, "b") },
    ];
    for (const [adapters, options] of [
      [[{ path: dora }], {}],
      [plain, { method: "ties", density: 0.5 }],
    ] as const) {
      const out = join(temporaryFolder(), "out.onnx");
      await merge({ base: twoLayers(), adapters, out, workers: 1, ...options });
      const expected = await mergedSafetensors(adapters, "f32", options);
      const [found, right] = [turnBack(weightOf(out, "onnx::MatMul_1")), weightOf(expected, `${Q}.weight`)];
      for (let at = 0; at < found.length; at += 4) expect(found.readFloatLE(at)).toBeCloseTo(right.readFloatLE(at), 5);
    }
  });
});

describe("where weights lie", () => {
  test("data files stay, and only the ranges of the weights change", async () => {
    const inside = openOnnx(twoLayers());
    const editor = new OnnxEditor(inside);
    editor.moveToExternalData(0);
    const { folder } = write(editor);
    const adapter = writeAdapter(temporaryFolder());
    const out = join(temporaryFolder(), "model.onnx");
    await merge({ base: join(folder, "model.onnx"), adapters: [{ path: adapter }], out, verify: true, workers: 1 });
    expect(readdirSync(dirname(out))).toEqual(["model.onnx", "model.onnx_data"]);
    const [before, after] = [folder, dirname(out)].map((place) => readFileSync(join(place, "model.onnx_data")));
    expect(after?.length).toBe(before?.length);
    const codes = openOnnx(out).store.tensors.get("codes")?.source;
    const at = codes?.kind === "file" ? codes.offset : Number.NaN;
    expect(after?.subarray(at, at + 5)).toEqual(before?.subarray(at, at + 5));
  });

  test("a weight in a Constant node, behind Transpose and Cast", async () => {
    const base = writeGraph({
      nodes: [
        nodeBytes(
          "Constant",
          [],
          ["w16"],
          tensorAttribute("value", constant({ name: "", shape: [6, 8], dtype: "f16" })),
        ),
        concat(nodeBytes("Cast", ["w16"], ["w"], intAttribute("to", 1))),
        nodeBytes("Transpose", ["w"], ["t"], intsAttribute("perm", 1, 0)),
        named(`${NODE}/MatMul`, "MatMul", ["x", "t"], "y"),
      ],
      ...IO,
    });
    const out = join(temporaryFolder(), "out.onnx");
    const adapters = [{ path: writeAdapter(temporaryFolder(), pair(Q), { target_modules: ["q_proj"] }) }];
    await merge({ base, adapters, out, verify: true, workers: 1 });
    const folder = temporaryFolder();
    writeTensors(join(folder, "b.safetensors"), { [`${Q}.weight`]: { shape: [6, 8], dtype: "f16" } });
    await merge({ base: join(folder, "b.safetensors"), adapters, out: join(folder, "m.safetensors"), workers: 1 });
    expect(weightOf(out, "w16")).toEqual(weightOf(join(folder, "m.safetensors"), `${Q}.weight`));
  });

  test("values in float_data become raw_data of the same tensor", async () => {
    const numbers = Array.from({ length: 48 }, (_, index) => index / 8);
    const packed = concat(Uint8Array.of(0x22, 0xc0, 0x01), floats(...numbers));
    const base = writeGraph({
      tensors: [tensorBytes({ name: `${V}.weight`, dims: [6, 8], extra: [packed] })],
      nodes: [
        named(`${NODE.replace("q_proj", "v_proj")}/Gemm`, "Gemm", ["x", `${V}.weight`], "y", intAttribute("transB", 1)),
      ],
      ...IO,
    });
    const out = join(temporaryFolder(), "out.onnx");
    const adapters = [{ path: writeAdapter(temporaryFolder(), pair(V), { target_modules: ["v_proj"] }) }];
    const report = await merge({ base, adapters, out, verify: true, workers: 1 });
    expect(report.verification?.passed).toBe(true);
    expect(weightOf(out, `${V}.weight`)).toHaveLength(192);
  });
});

describe("shared constants", () => {
  const shared = () =>
    writeGraph({
      tensors: [constant({ name: "onnx::MatMul_1", shape: [8, 6], value: turned(6, 8) })],
      nodes: [
        named(`${NODE}/MatMul`, "MatMul", ["x", "onnx::MatMul_1"], "q"),
        named(`${NODE.replace("q_proj", "v_proj")}/MatMul`, "MatMul", ["x", "onnx::MatMul_1"], "v"),
        named("/Add", "Add", ["q", "v"], "y"),
      ],
      ...IO,
    });

  test("are copied before one use is edited", async () => {
    const out = join(temporaryFolder(), "out.onnx");
    const base = shared();
    const adapters = [{ path: writeAdapter(temporaryFolder(), pair(Q), { target_modules: ["q_proj"] }) }];
    await merge({ base, adapters, out, verify: true, workers: 1 });
    const { graph, constants } = openOnnx(out);
    expect([...constants.keys()]).toEqual(["onnx::MatMul_1", `${Q}.weight`]);
    expect(graph.nodes.map(({ inputs }) => inputs)).toEqual([
      ["x", `${Q}.weight`],
      ["x", "onnx::MatMul_1"],
      ["q", "v"],
    ]);
    expect(weightOf(out, "onnx::MatMul_1")).toEqual(weightOf(base, "onnx::MatMul_1"));
    expect((await verify({ base, adapters, merged: out, workers: 1 })).passed).toBe(true);
  });

  test("stay with the layer that they are named after, when that one is edited", async () => {
    const key = "model.embed_tokens.weight";
    const base = writeGraph({
      tensors: [constant({ name: key, shape: [6, 8] })],
      nodes: [
        named("/model/embed_tokens/Gather", "Gather", [key, "ids"], "x"),
        named("/lm_head/Transpose", "Transpose", [key], "t", intsAttribute("perm", 1, 0)),
        named("/lm_head/MatMul", "MatMul", ["x", "t"], "y"),
      ],
      inputs: [valueBytes("ids", 7, ["n"])],
      outputs: IO.outputs,
    });
    const factors = {
      "base_model.model.model.embed_tokens.lora_embedding_A": { shape: [2, 6] },
      "base_model.model.model.embed_tokens.lora_embedding_B": { shape: [8, 2] },
    };
    const adapters = [{ path: writeAdapter(temporaryFolder(), factors, { target_modules: ["embed_tokens"] }) }];
    const out = join(temporaryFolder(), "out.onnx");
    const report = await merge({ base, adapters, out, verify: true, workers: 1 });
    expect(report.untied).toBe(true);
    expect([...openOnnx(out).constants.keys()]).toEqual([key, "lm_head.weight"]);
    expect(weightOf(out, "lm_head.weight")).toEqual(weightOf(base, key));
    expect(weightOf(out, key)).not.toEqual(weightOf(base, key));
  });

  test("part when each use is edited in its own way", async () => {
    const out = join(temporaryFolder(), "out.onnx");
    const adapters = [{ path: writeAdapter(temporaryFolder()) }];
    await merge({ base: shared(), adapters, out, verify: true, workers: 1 });
    expect(openOnnx(out).constants.size).toBe(2);
  });
});

test("trained tokens reach a tied head that was exported turned, whatever it is called", async () => {
  const [input, output] = ["bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"];
  const base = writeGraph({
    tensors: [
      constant({ name: input, shape: [6, 8] }),
      constant({ name: "onnx::MatMul_1", shape: [8, 6], value: turned(6, 8) }),
    ],
    nodes: [
      named("/bert/embeddings/word_embeddings/Gather", "Gather", [input, "ids"], "x"),
      named("/cls/predictions/decoder/MatMul", "MatMul", ["x", "onnx::MatMul_1"], "y"),
    ],
    inputs: [valueBytes("ids", 7, ["n"])],
    outputs: IO.outputs,
  });
  const module = input.slice(0, -".weight".length);
  const rows = {
    [`base_model.model.${module}.token_adapter.trainable_tokens_delta`]: { shape: [2, 8], value: () => 7 },
  };
  const settings = { target_modules: ["q_proj"], trainable_token_indices: [1, 4] };
  const out = join(temporaryFolder(), "out.onnx");
  const report = await merge({
    base,
    adapters: [{ path: writeAdapter(temporaryFolder(), rows, settings) }],
    out,
    verify: true,
    workers: 1,
  });
  expect(report.tensors.merge).toBe(2);
  expect(turnBack(weightOf(out, "onnx::MatMul_1"))).toEqual(weightOf(out, input));
  expect(openOnnx(out).constants.has(output)).toBe(false);
});

describe("--map", () => {
  const nameless = () => {
    const base = twoLayers();
    writeFileSync(
      base,
      readFileSync(base)
        .toString("latin1")
        .replace(`${NODE}/MatMul`, "M".repeat(NODE.length + 7)),
      "latin1",
    );
    return base;
  };

  test("what names do not tell is refused with the constants that would fit", async () => {
    const out = join(temporaryFolder(), "out.onnx");
    const error = await errorOfBuilt(() =>
      merge({ base: nameless(), adapters: [{ path: writeAdapter(temporaryFolder()) }], out }),
    );
    expect(error.message).toMatch(
      /"model.layers.0.self_attn.q_proj": the base has no such tensor; candidates for --map: "onnx::MatMul_1" \[8, 6\]/,
    );
    expect(error.hint).toMatch(/--map module=initialiser/);
    expect(existsSync(out)).toBe(false);
  });

  test("settles it by hand, orientation still from the node", async () => {
    const out = join(temporaryFolder(), "out.onnx");
    const adapters = [{ path: writeAdapter(temporaryFolder()) }];
    await merge({ base: nameless(), adapters, out, map: { [Q]: "onnx::MatMul_1" }, verify: true, workers: 1 });
    expect(turnBack(weightOf(out, "onnx::MatMul_1"))).toEqual(
      weightOf(await mergedSafetensors(adapters, "f32"), `${Q}.weight`),
    );
  });

  test.each([
    ["no such constant", { [Q]: "onnx::MatMul_2" }, /has no tensor "onnx::MatMul_2"/],
    ["a constant that no product reads", { [Q]: "codes" }, /no arithmetic is defined for u8/],
  ])("refuses %s", async (_, map, message) => {
    const adapters = [{ path: writeAdapter(temporaryFolder()) }];
    const error = await errorOfBuilt(() =>
      merge({ base: nameless(), adapters, map, out: join(temporaryFolder(), "o.onnx") }),
    );
    expect(error.message).toMatch(message);
  });

  test("works on safetensors, too", async () => {
    const folder = temporaryFolder();
    writeTensors(join(folder, "b.safetensors"), { "other.name.weight": { shape: [6, 8] } });
    const adapters = [{ path: writeAdapter(folder, pair(Q), { target_modules: ["q_proj"] }) }];
    const options = { base: join(folder, "b.safetensors"), adapters, out: join(folder, "m.safetensors"), workers: 1 };
    expect((await errorOfBuilt(() => merge(options))).code).toBe("ADAPTER_MISMATCH");
    const report = await merge({ ...options, map: { [Q]: "other.name.weight" } });
    expect(report.tensors.merge).toBe(1);
  });
});

describe("refuses by name", () => {
  const adapters = () => [{ path: writeAdapter(temporaryFolder(), pair(Q), { target_modules: ["q_proj"] }) }];
  const graphWith = (nodes: readonly Uint8Array[], tensors: readonly Uint8Array[]) =>
    writeGraph({ nodes, tensors, ...IO });

  test.each([
    [
      "MatMulNBits",
      [named(`${NODE}/MatMul_Q4`, "MatMulNBits", ["x", "w_Q4", "w_scales"], "y")],
      [constant({ name: "w_Q4", shape: [6, 1, 4], dtype: "u8" }), constant({ name: "w_scales", shape: [6] })],
      /q_proj.weight": the weight is quantised \("w_Q4"\)/,
    ],
    [
      "DequantizeLinear",
      [
        named(`${NODE}/DequantizeLinear`, "DequantizeLinear", ["w_q", "w_scale"], "w"),
        named(`${NODE}/MatMul`, "MatMul", ["x", "w"], "y"),
      ],
      [constant({ name: "w_q", shape: [8, 6], dtype: "u8" }), constant({ name: "w_scale", shape: [] })],
      /the weight is quantised \("w_q"\)/,
    ],
    [
      "DynamicQuantizeMatMul",
      [named(`${NODE}/MatMul_quant`, "DynamicQuantizeMatMul", ["x", "w_q", "w_scale"], "y")],
      [constant({ name: "w_q", shape: [8, 6], dtype: "u8" }), constant({ name: "w_scale", shape: [] })],
      /the weight is quantised \("w_q"\)/,
    ],
  ])("a target of %s", async (_, nodes, tensors, message) => {
    const out = join(temporaryFolder(), "o.onnx");
    const error = await errorOfBuilt(() => merge({ base: graphWith(nodes, tensors), adapters: adapters(), out }));
    expect(error.code).toBe("QUANTIZED_BASE");
    expect(error.message).toMatch(message);
  });

  test("a convolution with a batch norm in it", async () => {
    const base = writeGraph({
      nodes: [named("/conv/Conv", "Conv", ["x", "onnx::Conv_3"], "y")],
      tensors: [constant({ name: "onnx::Conv_3", shape: [6, 8, 1, 1] })],
    });
    const tensors = {
      "base_model.model.conv.lora_A.weight": { shape: [2, 8, 1, 1] },
      "base_model.model.conv.lora_B.weight": { shape: [6, 2, 1, 1] },
    };
    const path = writeAdapter(temporaryFolder(), tensors, { target_modules: ["conv"] });
    const error = await errorOfBuilt(() =>
      merge({ base, adapters: [{ path }], out: join(temporaryFolder(), "o.onnx") }),
    );
    expect(error.code).toBe("UNSUPPORTED_MODEL");
    expect(error.message).toMatch(/batch norm/);
  });

  test.each([
    [{ dtype: "f16" as const }, "UNSUPPORTED_DTYPE"],
    [{ maxShardSize: 1000 }, "INVALID_OPTION"],
    [{ out: "merged" }, "INVALID_OPTION"],
    [{ out: "merged", part: { index: 1, count: 2 } }, "INVALID_OPTION"],
  ])("%o", async (options, code) => {
    const out = join(temporaryFolder(), "out" in options ? options.out : "o.onnx");
    const error = await errorOfBuilt(() => merge({ base: twoLayers(), adapters: adapters(), ...options, out }));
    expect(error.code).toBe(code);
    expect(readdirSync(dirname(out))).toEqual([]);
  });
});

test("the rest of a partly quantised graph merges", async () => {
  const codes = [constant({ name: "w_Q4", shape: [6, 1, 4], dtype: "u8" }), constant({ name: "w_s", shape: [6] })];
  const base = twoLayers("f32", {
    tensors: codes,
    nodes: [named("/k_proj/MatMul_Q4", "MatMulNBits", ["x", "w_Q4", "w_s"], "k")],
  });
  const out = join(temporaryFolder(), "o.onnx");
  const report = await merge({ base, adapters: [{ path: writeAdapter(temporaryFolder()) }], out, workers: 1 });
  expect(report.tensors).toMatchObject({ merge: 2, copy: 3 });
  expect(weightOf(out, "w_Q4")).toEqual(weightOf(base, "w_Q4"));
});

test("parts of a fused projection are columns where the graph has it turned", async () => {
  const name = "model.layers.0.attn.qkv_proj.MatMul.weight";
  const base = writeGraph({
    tensors: [constant({ name, shape: [8, 16], value: turned(16, 8) })],
    nodes: [named("/model/layers.0/attn/qkv_proj/MatMul", "MatMul", ["x", name], "y")],
    ...IO,
  });
  const config = { model_type: "llama", num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4, hidden_size: 8 };
  writeFileSync(join(dirname(base), "config.json"), JSON.stringify(config));
  const factors = (module: string, rows: number) => ({
    [`base_model.model.${module}.lora_A.weight`]: { shape: [2, 8] },
    [`base_model.model.${module}.lora_B.weight`]: { shape: [rows, 2] },
  });
  const adapter = writeAdapter(temporaryFolder(), { ...factors(Q, 8), ...factors(V, 4) });
  const out = join(temporaryFolder(), "o.onnx");
  await merge({ base, adapters: [{ path: adapter }], out, verify: true, workers: 1 });

  const folder = temporaryFolder();
  writeTensors(join(folder, "b.safetensors"), { "model.layers.0.self_attn.qkv_proj.weight": { shape: [16, 8] } });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  await merge({
    base: join(folder, "b.safetensors"),
    adapters: [{ path: adapter }],
    out: join(folder, "m.safetensors"),
  });
  const [found, expected] = [
    weightOf(out, name),
    weightOf(join(folder, "m.safetensors"), "model.layers.0.self_attn.qkv_proj.weight"),
  ];
  for (let at = 0; at < 128; at++) {
    expect(found.readFloatLE(at * 4)).toBe(expected.readFloatLE(((at % 16) * 8 + Math.floor(at / 16)) * 4));
  }
});

test("the metadata name the inputs by hash, and replace what an earlier merge wrote", async () => {
  const adapters = [{ path: writeAdapter(temporaryFolder()) }];
  const [first, second] = ["1.onnx", "2.onnx"].map((name) => join(temporaryFolder(), name));
  await merge({ base: twoLayers(), adapters, out: first ?? "", workers: 1 });
  await merge({ base: first ?? "", adapters, out: second ?? "", workers: 1 });
  const { metadata } = openOnnx(second ?? "");
  expect([...metadata.keys()]).toEqual(["lora_tool"]);
  const { base } = JSON.parse(metadata.get("lora_tool") ?? "");
  expect(base).toMatchObject([{ name: "1.onnx", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
  expect(base[0].sha256).not.toMatch(/^0+$/);
});

test("verify tells a graph whose nodes are not the base's", async () => {
  const base = twoLayers();
  const adapters = [{ path: writeAdapter(temporaryFolder()) }];
  const merged = join(temporaryFolder(), "out.onnx");
  await merge({ base, adapters, out: merged, workers: 1 });
  const bytes = readFileSync(merged);
  // The operator of the last node, and not the node's name.
  bytes.write("Sub", bytes.indexOf("\u0022\u0003Add") + 2);
  writeFileSync(merged, bytes);
  const report = await verify({ base, adapters, merged, workers: 1 });
  expect(report.passed).toBe(false);
  expect(report.problems).toEqual(['the graph: node 2 "/Add" is not that of the base']);
});
