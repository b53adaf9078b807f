import fc from "fast-check";
import * as flatbuffers from "flatbuffers";
import { describe, expect, test } from "vitest";
import { LoraToolError } from "../../../src/core/errors.ts";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { openOnnxAdapter } from "../../../src/formats/onnx-adapter/reader.ts";
import { openStore } from "../../../src/formats/registry.ts";
import type { TensorStore } from "../../../src/formats/tensor-store.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFile } from "../../support/temporary-folder.ts";

/** What ONNX Runtime 1.32 (`AdapterFormat.export_adapter`) writes for `EXPECTED`; its data is not aligned. */
const BY_ONNX_RUNTIME = Buffer.from(
  "CAAAAFRPUlRw////AQAAAAIAAAADAAAABAAAAAMAAACEAAAAQAAAAAQAAACU////LAAAABAAAAABAAAABAAAAAAAAAACAAAABAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAegAAAMz///8oAAAAGAAAAAoAAAAEAAAABgAAAAAAADwAQAAAAQAAAAMAAAAAAAAAAQAAAGIAAAAMABQABAAIAAwAEAAMAAAARAAAACgAAAABAAAABAAAABgAAAAAAAAAAACAPwAAAEAAAEBAAACAQAAAoEACAAAAAgAAAAAAAAADAAAAAAAAAAAAAAAPAAAAeC5sb3JhX0Eud2VpZ2h0AA==",
  "base64",
);
const EXPECTED = [
  ["x.lora_A.weight", "f32", [2, 3], [...new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer)]],
  ["b", "f16", [3], [0, 0, 0, 0x3c, 0, 0x40]],
  ["z", "f32", [4, 0], []],
];

interface Parameter {
  readonly name?: string | Uint8Array;
  readonly dims?: readonly (number | bigint)[];
  readonly type?: number;
  readonly bytes?: number;
}

/** An adapter with these parameters, right or wrong. */
function adapterBytes(parameters: readonly Parameter[], formatVersion = 1, identifier = "TORT"): Uint8Array {
  const builder = new flatbuffers.Builder(1_024);
  const tables = parameters.map(({ name, dims, type, bytes }) => {
    const data = bytes === undefined ? 0 : builder.createByteVector(new Uint8Array(bytes));
    if (dims !== undefined) {
      builder.startVector(8, dims.length, 8);
      for (const size of dims.toReversed()) builder.addInt64(BigInt(size));
    }
    const shape = dims === undefined ? 0 : builder.endVector();
    const text = name === undefined ? 0 : builder.createString(name);
    builder.startObject(4);
    builder.addFieldOffset(0, text, 0);
    builder.addFieldOffset(1, shape, 0);
    builder.addFieldInt32(2, type ?? 0, 0);
    builder.addFieldOffset(3, data, 0);
    return builder.endObject();
  });
  builder.startVector(4, tables.length, 4);
  for (const table of tables.toReversed()) builder.addOffset(table);
  const vector = builder.endVector();
  builder.startObject(4);
  builder.addFieldInt32(0, formatVersion, 0);
  builder.addFieldOffset(3, vector, 0);
  builder.finish(builder.endObject(), identifier);
  return builder.asUint8Array();
}

const open = (bytes: Uint8Array | string) => openOnnxAdapter(temporaryFile("a.onnx_adapter", bytes));

function contentOf({ tensors }: TensorStore): unknown {
  return [...tensors.values()].map((tensor) => [tensor.name, tensor.dtype, tensor.shape, [...readTensorBytes(tensor)]]);
}

describe("openOnnxAdapter", () => {
  test("reads what ONNX Runtime writes, where its data is not aligned, too", () => {
    const store = open(BY_ONNX_RUNTIME);
    expect(contentOf(store)).toEqual(EXPECTED);
    expect([...store.metadata]).toEqual([
      ["adapter_version", "2"],
      ["model_version", "3"],
    ]);
    const offsets = [...store.tensors.values()].map(({ source }) => (source.kind === "file" ? source.offset % 8 : -1));
    expect(offsets).toEqual([4, 4, 4]);
  });

  test("opens as a store like any other, by name and by content", () => {
    for (const name of ["a.onnx_adapter", "5f3a9c"]) {
      expect(contentOf(openStore(temporaryFile(name, BY_ONNX_RUNTIME)))).toEqual(EXPECTED);
    }
  });

  test("may hold no parameters", () => {
    expect(open(adapterBytes([])).tensors.size).toBe(0);
  });

  test("takes names of JavaScript's own for names", () => {
    const names = ["__proto__", "constructor"];
    const parameters = names.map((name) => ({ name, dims: [1], type: 2, bytes: 1 }));
    expect([...open(adapterBytes(parameters)).tensors.keys()]).toEqual(names);
  });

  const right = { name: "w", dims: [2], type: 1, bytes: 8 } as const;
  test.each<[string, Uint8Array | string, string]>([
    ["an empty file", "", "EMPTY_FILE"],
    ["a Git-LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "WRONG_FORMAT"],
    ["a file that is shorter than its identifier", Uint8Array.of(8, 0, 0, 0, 0x54), "WRONG_FORMAT"],
    ["another FlatBuffers file", adapterBytes([right], 1, "TFL3"), "WRONG_FORMAT"],
    ["format version 0", adapterBytes([right], 0), "UNSUPPORTED_FORMAT"],
    ["format version 2", adapterBytes([right], 2), "UNSUPPORTED_FORMAT"],
    ["a parameter without a name", adapterBytes([{ dims: [2], type: 1, bytes: 8 }]), "INVALID_METADATA"],
    ["a parameter with an empty name", adapterBytes([{ ...right, name: "" }]), "INVALID_METADATA"],
    ["a name that is not UTF-8", adapterBytes([{ ...right, name: Uint8Array.of(0xff) }]), "INVALID_UTF8"],
    ["a name of 70,000 bytes", adapterBytes([{ ...right, name: "x".repeat(70_000) }]), "HEADER_TOO_LARGE"],
    ["two parameters of one name", adapterBytes([right, right]), "DUPLICATE_KEY"],
    ["a parameter without a type", adapterBytes([{ ...right, type: 0 }]), "INVALID_DTYPE"],
    ["type 29", adapterBytes([{ ...right, type: 29 }]), "INVALID_DTYPE"],
    ["text", adapterBytes([{ ...right, type: 8 }]), "INVALID_DTYPE"],
    ["no dimensions", adapterBytes([{ name: "w", type: 1, bytes: 4 }]), "INVALID_SHAPE"],
    ["a scalar", adapterBytes([{ ...right, dims: [], bytes: 4 }]), "INVALID_SHAPE"],
    ["a negative size", adapterBytes([{ ...right, dims: [-2] }]), "INVALID_SHAPE"],
    ["sizes that overflow", adapterBytes([{ ...right, dims: [2n ** 40n, 2n ** 40n] }]), "INVALID_SHAPE"],
    ["65 dimensions", adapterBytes([{ ...right, dims: Array<number>(65).fill(1), bytes: 4 }]), "INVALID_OFFSETS"],
    ["too little data", adapterBytes([{ ...right, bytes: 7 }]), "SIZE_MISMATCH"],
    ["too much data", adapterBytes([{ ...right, bytes: 9 }]), "SIZE_MISMATCH"],
    ["no data", adapterBytes([{ name: "w", dims: [2], type: 1 }]), "SIZE_MISMATCH"],
  ])("refuses %s", async (_, bytes, code) => {
    const error = await errorOf(() => open(bytes));
    expect(error.code).toBe(code);
    expect(error.message).toContain("a.onnx_adapter");
  });

  test("refuses a file that is cut off at any byte, or reads all of it where only padding is missing", () => {
    for (let length = 0; length < BY_ONNX_RUNTIME.length; length++) {
      let store: TensorStore;
      try {
        store = open(BY_ONNX_RUNTIME.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(LoraToolError);
        continue;
      }
      expect(contentOf(store)).toEqual(EXPECTED);
      expect(length).toBeGreaterThan(BY_ONNX_RUNTIME.length - 4);
    }
  });

  test("refuses damage with a typed error, or reads inside the file", () => {
    const damage = fc.array(fc.tuple(fc.nat(BY_ONNX_RUNTIME.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = Uint8Array.from(BY_ONNX_RUNTIME);
        for (const [at, byte] of changes) bytes[at] = byte;
        try {
          contentOf(open(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(LoraToolError);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("refuses offsets that lead out of the file, wherever they stand", async () => {
    for (let at = 0; at < BY_ONNX_RUNTIME.length; at += 4) {
      const bytes = Uint8Array.from(BY_ONNX_RUNTIME);
      bytes.set([0xff, 0xff, 0xff, 0x7f], at);
      try {
        contentOf(open(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(LoraToolError);
      }
    }
    const root = Uint8Array.from(BY_ONNX_RUNTIME);
    root.set([0xf0, 0xff, 0xff, 0xff]);
    expect((await errorOf(() => open(root))).code).toBe("INVALID_OFFSETS");
  });
});
