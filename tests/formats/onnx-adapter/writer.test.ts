import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { DTYPE_BITS, type Dtype } from "../../../src/core/dtype.ts";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { openOnnxAdapter } from "../../../src/formats/onnx-adapter/reader.ts";
import { type AdapterVersions, onnxAdapterFrame } from "../../../src/formats/onnx-adapter/writer.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFile } from "../../support/temporary-folder.ts";

function tensor(name: string, dtype: Dtype, shape: readonly number[], bytes: Uint8Array): TensorData {
  return { name, dtype, shape, byteLength: bytes.length, source: { kind: "memory", bytes } };
}

/** The whole file: frame and data. */
function encode(tensors: readonly TensorData[], versions?: AdapterVersions): Uint8Array {
  const { header, offsets, before = [], size } = onnxAdapterFrame(tensors, versions);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  for (const [index, tensor] of tensors.entries()) {
    const [offset, own] = [offsets[index] ?? 0, before[index] ?? new Uint8Array()];
    bytes.set(own, offset - own.length);
    bytes.set(readTensorBytes(tensor), offset);
  }
  return bytes;
}

const floats = (...values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const LORA = [
  tensor("lora_A", "f32", [3, 2], floats(1, 2, 3, 4, 5, 6)),
  tensor("lora_B", "f32", [2, 4], floats(1, 2, 3, 4, 5, 6, 7, 8)),
];
const open = (bytes: Uint8Array) => openOnnxAdapter(temporaryFile("a.onnx_adapter", bytes));

describe("the frame of an .onnx_adapter file", () => {
  test("writes the bytes that ONNX Runtime 1.32 was seen to load, bind to graph inputs and compute with", () => {
    const bytes = encode(LORA, { adapterVersion: 3, modelVersion: 7 });
    expect(bytes.length).toBe(240);
    expect(Buffer.from(bytes.subarray(4, 8)).toString()).toBe("TORT");
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(
      "f12fca7a1e5af15d2924c4e41fcb4d8c5bdb98fe27e59beefe8e349515e985e5",
    );
  });

  test("writes what comes back: every dtype, no elements, names of any text", () => {
    const dtypes = (Object.keys(DTYPE_BITS) as Dtype[]).filter((dtype) => dtype !== "string");
    const tensors = [
      ...dtypes.map((dtype) => {
        const byteLength = Math.ceil((7 * DTYPE_BITS[dtype]) / 8);
        return tensor(
          `as ${dtype}`,
          dtype,
          [7, 1],
          Uint8Array.from({ length: byteLength }, (_, index) => index),
        );
      }),
      tensor("empty", "f32", [4, 0], new Uint8Array()),
      tensor("größe 😀\n", "i64", [1], new Uint8Array(8)),
    ];
    const store = open(encode(tensors));
    const found = [...store.tensors.values()].map((one) => ({ ...one, source: [...readTensorBytes(one)] }));
    expect(found).toEqual(tensors.map((one) => ({ ...one, source: [...readTensorBytes(one)] })));
    expect([...store.metadata.values()]).toEqual(["1", "1"]);
  });

  test("starts every tensor at a multiple of 8 bytes", () => {
    const tensors = Array.from({ length: 20 }, (_, index) =>
      tensor("n".repeat(index + 1), "u8", [index + 1], new Uint8Array(index + 1)),
    );
    for (const { source } of open(encode(tensors)).tensors.values()) {
      expect(source.kind === "file" && source.offset % 8).toBe(0);
    }
  });

  test("gives the same bytes each time", () => {
    expect(Buffer.from(encode(LORA)).equals(encode(LORA))).toBe(true);
  });

  test.each<[string, readonly TensorData[], string]>([
    ["text", [tensor("t", "string", [1], new Uint8Array(4))], "UNSUPPORTED_DTYPE"],
    ["a scalar", [tensor("s", "f32", [], floats(1))], "UNSUPPORTED_FORMAT"],
    ["an empty name", [tensor("", "f32", [1], floats(1))], "INVALID_METADATA"],
    ["half a surrogate pair", [tensor("\ud800", "f32", [1], floats(1))], "INVALID_UTF8"],
    ["two tensors of one name", [...LORA, ...LORA], "DUPLICATE_KEY"],
    ["2 GiB", [{ ...tensor("w", "u8", [2 ** 31], new Uint8Array()), byteLength: 2 ** 31 }], "UNSUPPORTED_FORMAT"],
  ])("refuses %s", async (_, tensors, code) => {
    expect((await errorOf(() => encode(tensors))).code).toBe(code);
  });
});
