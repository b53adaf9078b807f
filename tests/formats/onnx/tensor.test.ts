import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DTYPE_BITS, type Dtype } from "../../../src/core/dtype.ts";
import { DTYPE_ELEMENT_TYPES } from "../../../src/formats/onnx/element-type.ts";
import {
  type Bytes,
  bytesOf,
  concat,
  fixed32,
  floats,
  int,
  modelBytes,
  sub,
  type TensorParts,
  tensorBytes,
  varintBytes,
} from "./build.ts";
import { bytesIn, codeOf, openBytes } from "./open.ts";

const opened = (parts: TensorParts) => openBytes(modelBytes({ tensors: [tensorBytes(parts)] }));
const packed = (field: number, ...values: readonly (number | bigint)[]) =>
  sub(field, ...values.map((value) => varintBytes(value)));
const doubles = (...values: readonly number[]) => bytesOf(Float64Array.from(values));

describe("raw_data", () => {
  const dtypes = (Object.keys(DTYPE_BITS) as Dtype[]).filter((dtype) => dtype !== "string");

  test.each(dtypes)("holds %s, an odd number of elements rounded up to whole bytes", (dtype) => {
    const bytes = Uint8Array.from({ length: Math.ceil((5 * DTYPE_BITS[dtype]) / 8) }, (_, index) => index + 1);
    const model = opened({ dims: [5], type: DTYPE_ELEMENT_TYPES[dtype], raw: bytes });
    expect(model.store.tensors.get("w")).toMatchObject({ dtype, shape: [5], byteLength: bytes.length });
    expect(bytesIn(model, "w")).toEqual(bytes);
  });

  test("may be empty for a shape without elements, and one value for a scalar", () => {
    expect(bytesIn(opened({ dims: [0, 3], raw: new Uint8Array() }), "w")).toEqual(new Uint8Array());
    expect(bytesIn(opened({ dims: [3, 0] }), "w")).toEqual(new Uint8Array());
    expect(bytesIn(opened({ raw: floats(7) }), "w")).toEqual(floats(7));
  });

  test("has dims packed or one by one", () => {
    const model = opened({ raw: floats(1, 2, 3, 4), extra: [packed(1, 2, 1), int(1, 2)] });
    expect(model.store.tensors.get("w")?.shape).toEqual([2, 1, 2]);
  });
});

describe("typed values", () => {
  test.each<[string, TensorParts, Bytes]>([
    ["packed floats", { dims: [2], extra: [sub(4, floats(1.5, -2))] }, floats(1.5, -2)],
    ["floats one by one", { dims: [2], extra: [fixed32(4, 1.5), fixed32(4, -2)] }, floats(1.5, -2)],
    [
      "floats packed, single and packed again",
      { dims: [4], extra: [sub(4, floats(1, 2)), fixed32(4, 3), sub(4, floats(4))] },
      floats(1, 2, 3, 4),
    ],
    ["complex numbers as pairs of floats", { dims: [1], type: 14, extra: [sub(4, floats(1, 2))] }, floats(1, 2)],
    ["doubles", { dims: [2], type: 11, extra: [sub(10, doubles(0.1, -3))] }, doubles(0.1, -3)],
    ["doubles one by one", { dims: [1], type: 11, extra: [varintBytes(10 * 8 + 1), doubles(0.1)] }, doubles(0.1)],
    ["complex128", { dims: [1], type: 15, extra: [sub(10, doubles(1, 2))] }, doubles(1, 2)],
    [
      "i32",
      { dims: [3], type: 6, extra: [packed(5, -1, 2 ** 31 - 1, -(2 ** 31))] },
      bytesOf(Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31))),
    ],
    ["i16 one by one", { dims: [2], type: 5, extra: [int(5, -2), int(5, 300)] }, bytesOf(Int16Array.of(-2, 300))],
    ["u16", { dims: [1], type: 4, extra: [packed(5, 65_535)] }, bytesOf(Uint16Array.of(65_535))],
    ["i8", { dims: [2], type: 3, extra: [packed(5, -128, 127)] }, bytesOf(Int8Array.of(-128, 127))],
    ["u8", { dims: [2], type: 2, extra: [packed(5, 0, 255)] }, Uint8Array.of(0, 255)],
    ["bool", { dims: [2], type: 9, extra: [packed(5, 1, 0)] }, Uint8Array.of(1, 0)],
    [
      "f16 as bits",
      { dims: [2], type: 10, extra: [packed(5, 0x3c00, 0xfc00)] },
      bytesOf(Uint16Array.of(0x3c00, 0xfc00)),
    ],
    ["bf16 as bits", { dims: [1], type: 16, extra: [int(5, 0x3f80)] }, bytesOf(Uint16Array.of(0x3f80))],
    ["f8 as bits", { dims: [2], type: 17, extra: [packed(5, 0x38, 0xff)] }, Uint8Array.of(0x38, 0xff)],
    ["i4, two in one", { dims: [3], type: 22, extra: [packed(5, 0x21, 0x03)] }, Uint8Array.of(0x21, 0x03)],
    ["u2, four in one", { dims: [5], type: 25, extra: [packed(5, 0xe4, 0x01)] }, Uint8Array.of(0xe4, 0x01)],
    // byte0 = x0 | x1<<6, byte1 = x1>>2 | x2<<4, byte2 = x2>>4 | x3<<2, as onnx.proto packs raw_data.
    [
      "f6, one in each, packed as raw_data is",
      { dims: [5], type: 27, extra: [packed(5, 0b100001, 0b111111, 0b000010, 0b100000, 0b000011)] },
      Uint8Array.of(0b11100001, 0b00101111, 0b10000000, 0b00000011),
    ],
    [
      "i64",
      { dims: [3], type: 7, extra: [packed(7, -1n, 2n ** 63n - 1n, -(2n ** 63n))] },
      bytesOf(BigInt64Array.of(-1n, 2n ** 63n - 1n, -(2n ** 63n))),
    ],
    [
      "i64 one by one",
      { dims: [2], type: 7, extra: [int(7, -5), int(7, 2n ** 40n)] },
      bytesOf(BigInt64Array.of(-5n, 2n ** 40n)),
    ],
    ["u64", { dims: [1], type: 13, extra: [packed(11, 2n ** 64n - 1n)] }, bytesOf(BigUint64Array.of(2n ** 64n - 1n))],
    ["u32", { dims: [1], type: 12, extra: [packed(11, 2 ** 32 - 1)] }, bytesOf(Uint32Array.of(2 ** 32 - 1))],
    [
      "text, each with its length",
      { dims: [2], type: 8, extra: [sub(6, "ab"), sub(6, "")] },
      Uint8Array.of(2, 0, 0, 0, 0x61, 0x62, 0, 0, 0, 0),
    ],
  ])("are read as bytes: %s", (_, parts, bytes) => {
    const model = opened(parts);
    expect(model.store.tensors.get("w")?.byteLength).toBe(bytes.length);
    expect(bytesIn(model, "w")).toEqual(bytes);
  });

  test("can go to another thread, like all tensors", () => {
    const tensor = opened({ dims: [2], type: 6, extra: [packed(5, 1, 2)] }).store.tensors.get("w");
    expect(structuredClone(tensor)).toMatchObject({ source: { kind: "memory", bytes: bytesOf(Int32Array.of(1, 2)) } });
  });

  test("come out alike however they are packed", () => {
    const values = fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(values, fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }), (numbers, isPacked) => {
        const extra = numbers.map((value, index) => (isPacked[index] ? packed(7, value) : int(7, value)));
        const model = opened({ dims: [numbers.length], type: 7, extra });
        expect(bytesIn(model, "w")).toEqual(bytesOf(BigInt64Array.from(numbers)));
      }),
      { numRuns: 30 },
    );
  });
});

describe("a tensor", () => {
  test.each<[string, TensorParts, string]>([
    ["without a type", { type: 0, raw: floats(1) }, "INVALID_DTYPE"],
    ["of type 29", { type: 29, raw: floats(1) }, "INVALID_DTYPE"],
    ["of type 999", { type: 999, raw: floats(1) }, "INVALID_DTYPE"],
    ["of type −1", { type: -1, raw: floats(1) }, "INVALID_DTYPE"],
    ["of type 2^32 + 1, which 32 bits cut to 1", { type: 2n ** 32n + 1n, raw: floats(1) }, "INVALID_DTYPE"],
    ["with a negative size", { dims: [-1], raw: floats(1) }, "INVALID_SHAPE"],
    ["with sizes whose product overflows", { dims: [2n ** 40n, 2n ** 40n], raw: floats(1) }, "INVALID_SHAPE"],
    [
      "with sizes whose product overflows to 0",
      { dims: [2n ** 32n, 2n ** 32n], raw: new Uint8Array() },
      "INVALID_SHAPE",
    ],
    ["with 65 dimensions", { dims: Array<number>(65).fill(1), raw: floats(1) }, "INVALID_SHAPE"],
    ["without values", { dims: [1] }, "SIZE_MISMATCH"],
    ["with values for no elements", { dims: [0], raw: floats(1) }, "SIZE_MISMATCH"],
    ["with typed values for no elements", { dims: [0], extra: [sub(4, floats(1))] }, "SIZE_MISMATCH"],
    ["with raw_data that is short", { dims: [2], raw: floats(1) }, "SIZE_MISMATCH"],
    ["with raw_data that is long", { dims: [1], raw: floats(1, 2) }, "SIZE_MISMATCH"],
    ["with too few typed values", { dims: [3], extra: [sub(4, floats(1, 2))] }, "SIZE_MISMATCH"],
    ["with too many typed values", { dims: [1], type: 7, extra: [int(7, 1), int(7, 2)] }, "SIZE_MISMATCH"],
    ["with raw and typed values", { dims: [1], raw: floats(1), extra: [sub(4, floats(1))] }, "INVALID_MODEL"],
    ["with typed values of two kinds", { dims: [1], extra: [sub(4, floats(1)), int(5, 1)] }, "INVALID_MODEL"],
    ["of floats in int32_data", { dims: [1], extra: [int(5, 1)] }, "INVALID_MODEL"],
    ["of i64 in int32_data", { dims: [1], type: 7, extra: [int(5, 1)] }, "INVALID_MODEL"],
    ["of f16 with bits above 16", { dims: [1], type: 10, extra: [int(5, 0x10000)] }, "INVALID_MODEL"],
    ["of f16 with negative bits", { dims: [1], type: 10, extra: [int(5, -1)] }, "INVALID_MODEL"],
    ["of bf16 with bits above 16", { dims: [1], type: 16, extra: [int(5, 0x10000)] }, "INVALID_MODEL"],
    ["of f8 with bits above 8", { dims: [1], type: 19, extra: [int(5, 256)] }, "INVALID_MODEL"],
    ["of f6 with bits above 6", { dims: [1], type: 28, extra: [int(5, 64)] }, "INVALID_MODEL"],
    ["of bool with a 2", { dims: [1], type: 9, extra: [int(5, 2)] }, "INVALID_MODEL"],
    ["of i8 with a 128", { dims: [1], type: 3, extra: [int(5, 128)] }, "INVALID_MODEL"],
    ["of u32 with more than 32 bits", { dims: [1], type: 12, extra: [int(11, 2n ** 32n)] }, "INVALID_MODEL"],
    ["of text in raw_data", { dims: [1], type: 8, raw: floats(1) }, "INVALID_MODEL"],
    ["in segments", { raw: floats(1), extra: [sub(3, int(1, 0))] }, "UNSUPPORTED_MODEL"],
    ["in an unknown location", { raw: floats(1), extra: [int(14, 2)] }, "INVALID_MODEL"],
    ["inside and outside", { raw: floats(1), external: [["location", "w.bin"]] }, "INVALID_MODEL"],
    ["whose raw_data has another wire type", { extra: [int(9, 1)] }, "INVALID_PROTOBUF"],
    ["whose float_data has another wire type", { dims: [1], extra: [int(4, 1)] }, "INVALID_MODEL"],
    ["whose dims have another wire type", { raw: floats(1), extra: [fixed32(1, 1)] }, "INVALID_PROTOBUF"],
  ])("is refused %s", async (_, parts, code) => {
    expect(await codeOf(modelBytes({ tensors: [tensorBytes(parts)] }))).toBe(code);
  });
});

describe("a sparse tensor", () => {
  const sparse = (values: TensorParts, indices: TensorParts, ...dims: readonly number[]) =>
    modelBytes({
      extra: [
        sub(
          15,
          sub(1, tensorBytes(values)),
          sub(2, tensorBytes({ name: "", type: 7, ...indices })),
          ...dims.map((size) => int(3, size)),
        ),
      ],
    });
  const i64 = (...values: readonly number[]) => bytesOf(BigInt64Array.from(values, BigInt));
  const values = { dims: [2], raw: floats(5, 6) };

  test.each([
    ["positions in the flat tensor", { dims: [2], raw: i64(1, 5) }],
    ["coordinates", { dims: [2, 2], raw: i64(0, 1, 1, 2) }],
  ])("is read dense from %s", (_, indices) => {
    const model = openBytes(sparse(values, indices, 2, 3));
    expect(model.store.tensors.get("w")).toMatchObject({ shape: [2, 3], byteLength: 24 });
    expect(bytesIn(model, "w")).toEqual(floats(0, 5, 0, 0, 0, 6));
  });

  test.each<[string, Bytes, string]>([
    ["indices out of order", sparse(values, { dims: [2], raw: i64(5, 1) }, 2, 3), "INVALID_MODEL"],
    ["an index twice", sparse(values, { dims: [2], raw: i64(1, 1) }, 2, 3), "INVALID_MODEL"],
    ["an index out of range", sparse(values, { dims: [2], raw: i64(1, 6) }, 2, 3), "INVALID_MODEL"],
    ["a negative index", sparse(values, { dims: [2], raw: i64(-1, 1) }, 2, 3), "INVALID_MODEL"],
    ["a coordinate out of range", sparse(values, { dims: [2, 2], raw: i64(0, 3, 1, 0) }, 2, 3), "INVALID_MODEL"],
    ["fewer indices than values", sparse(values, { dims: [1], raw: i64(1) }, 2, 3), "INVALID_MODEL"],
    ["indices that are floats", sparse(values, { dims: [2], type: 11, raw: doubles(1, 2) }, 2, 3), "INVALID_MODEL"],
    ["sizes that overflow", sparse(values, { dims: [2], raw: i64(1, 5) }, 2 ** 40, 2 ** 40), "INVALID_SHAPE"],
    [
      "elements below a byte",
      sparse({ dims: [2], type: 21, raw: Uint8Array.of(0x21) }, { dims: [2], raw: i64(1, 5) }, 2, 3),
      "UNSUPPORTED_DTYPE",
    ],
    [
      "the name of an initialiser",
      concat(sparse(values, { dims: [2], raw: i64(1, 5) }, 2, 3), sub(7, sub(5, tensorBytes({ raw: floats(1) })))),
      "INVALID_MODEL",
    ],
  ])("is refused with %s", async (_, bytes, code) => {
    expect(await codeOf(bytes)).toBe(code);
  });
});
