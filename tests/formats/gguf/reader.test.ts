import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openGguf } from "../../../src/formats/gguf/reader.ts";
import { openStore } from "../../../src/formats/registry.ts";
import { errorOf } from "../../support/errors.ts";
import { type GgufInfo, ggufFile, ggufStart } from "../../support/gguf-bytes.ts";
import { temporaryFile } from "../../support/temporary-folder.ts";

const TWO: readonly GgufInfo[] = [{ name: "a" }, { name: "b", dims: [2, 3] }];

function open(bytes: Uint8Array) {
  return openGguf(temporaryFile("x.gguf", bytes));
}

describe("reads", () => {
  test("shapes outermost first and offsets from the start of the file", () => {
    const bytes = ggufFile(TWO, 32 + 24);
    const { tensors } = open(bytes);
    expect([...tensors.values()]).toMatchObject([
      { name: "a", dtype: "f32", shape: [4], byteLength: 16, source: { offset: bytes.length - 56 } },
      { name: "b", dtype: "f32", shape: [3, 2], byteLength: 24, source: { offset: bytes.length - 24 } },
    ]);
  });

  test("version 2, which has the same fields", () => {
    expect(open(ggufStart(0, 0, 2).bytes()).tensors.size).toBe(0);
  });

  test("values of every type as text, and arrays by their length", () => {
    const file = ggufStart(0, 7);
    file.text("u8").u32(0).u8(200);
    file.text("f32").u32(6).f32(0.1);
    file.text("bool").u32(7).u8(1);
    file
      .text("u64")
      .u32(10)
      .u64(2n ** 63n);
    file.text("__proto__").u32(8).text("text");
    file.text("texts").u32(9).u32(8).u64(2).text("x").text("yy");
    file.text("numbers").u32(9).u32(4).u64(3).zeros(12);
    expect([...open(file.bytes()).metadata]).toEqual([
      ["u8", "200"],
      ["f32", String(Math.fround(0.1))],
      ["bool", "true"],
      ["u64", "9223372036854775808"],
      ["__proto__", "text"],
      ["texts", "[2 texts]"],
      ["numbers", "[3 numbers]"],
    ]);
  });

  test("its own alignment", () => {
    const bytes = ggufFile([{ name: "a" }, { name: "b", offset: 64 }], 64 + 16, 64);
    expect(open(bytes).tensors.get("b")?.source).toMatchObject({ offset: bytes.length - 16 });
  });

  test("quantised tensors by name, as the bytes of their rows", () => {
    const { tensors, warnings } = open(ggufFile([{ name: "q", dims: [256, 2], type: 12 }], 288));
    expect(tensors.get("q")).toMatchObject({ dtype: "u8", shape: [2, 144], byteLength: 288 });
    expect(warnings).toEqual([expect.stringContaining("q4_k")]);
  });

  test("tensors without elements", () => {
    expect(open(ggufFile([{ name: "a", dims: [0, 7] }], 0)).tensors.get("a")).toMatchObject({
      shape: [7, 0],
      byteLength: 0,
    });
  });

  test("a file with more behind its last tensor, with a warning", () => {
    expect(open(ggufFile([{ name: "a" }], 16 + 100)).warnings).toEqual([expect.stringContaining("100 bytes follow")]);
  });

  test("headers larger than the first piece that is read", () => {
    const file = ggufStart(0, 1).text("k").u32(8).text("x".repeat(300_000));
    expect(open(file.bytes()).metadata.get("k")).toHaveLength(300_000);
  });

  test("files without a telling name", () => {
    expect(openStore(temporaryFile("blob", ggufFile(TWO, 56))).tensors.size).toBe(2);
  });

  test("what the gguf package of llama.cpp writes", () => {
    const path = join(import.meta.dirname, "../../../fixtures/gguf/qwen2-alpha-0/adapter.gguf");
    const { tensors, metadata } = openGguf(path);
    expect(metadata.get("general.architecture")).toBe("qwen2");
    expect([...tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
      ["blk.0.attn_q.weight.lora_a", "bf16", [2, 8]],
      ["blk.0.attn_q.weight.lora_b", "bf16", [8, 2]],
      ["blk.0.attn_k.weight.lora_a", "bf16", [2, 8]],
      ["blk.0.attn_k.weight.lora_b", "bf16", [4, 2]],
    ]);
  });
});

const MAX_U64 = 2n ** 64n - 1n;
const pair = (key: string) => ggufStart(0, 1).text(key);

describe("refuses", () => {
  test.each<[what: string, bytes: Uint8Array, code: string]>([
    ["another magic", new TextEncoder().encode("FUGG\x03\0\0\0".padEnd(64, "\0")), "WRONG_FORMAT"],
    ["a Git-LFS pointer", new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"), "WRONG_FORMAT"],
    ["a web page", new TextEncoder().encode("<!doctype html><html></html>"), "WRONG_FORMAT"],
    ["an empty file", new Uint8Array(0), "HEADER_TRUNCATED"],
    ...[0, 1, 4, 2 ** 31].map((version): [string, Uint8Array, string] => [
      `version ${version}`,
      ggufStart(0, 0, version).bytes(),
      "UNSUPPORTED_FORMAT",
    ]),
    ["big-endian files", ggufStart(0, 0, 0x03000000).bytes(), "UNSUPPORTED_FORMAT"],
    ["2^64 - 1 tensors", ggufStart(MAX_U64, 0).bytes(), "HEADER_TRUNCATED"],
    ["2^63 pairs", ggufStart(0, 2n ** 63n).bytes(), "HEADER_TRUNCATED"],
    ["10^9 tensors in 24 bytes", ggufStart(1e9, 0).bytes(), "HEADER_TRUNCATED"],
    ["10^9 pairs in 24 bytes", ggufStart(0, 1e9).bytes(), "HEADER_TRUNCATED"],
    ["a key of 2^64 - 1 bytes", ggufStart(0, 1).text("", MAX_U64).zeros(64).bytes(), "HEADER_TRUNCATED"],
    ["a key of no bytes", pair("").u32(0).zeros(8).bytes(), "INVALID_METADATA"],
    ["a key of 70,000 bytes", pair("k".repeat(70_000)).u32(0).u8(1).bytes(), "INVALID_METADATA"],
    ["a key that is no UTF-8", ggufStart(0, 1).u64(1).u8(0xff).u32(0).zeros(8).bytes(), "INVALID_UTF8"],
    ["a key twice", ggufStart(0, 2).text("k").u32(0).u8(1).text("k").u32(0).u8(1).bytes(), "DUPLICATE_KEY"],
    ["a value of type 13", pair("key").u32(13).zeros(8).bytes(), "INVALID_METADATA"],
    ["an array of type 13", pair("key").u32(9).u32(13).u64(1).zeros(8).bytes(), "INVALID_METADATA"],
    ["an array of arrays", pair("key").u32(9).u32(9).u64(1).zeros(16).bytes(), "INVALID_METADATA"],
    [
      "an array of 2^63 numbers",
      pair("key")
        .u32(9)
        .u32(0)
        .u64(2n ** 63n)
        .zeros(8)
        .bytes(),
      "HEADER_TRUNCATED",
    ],
    [
      "an array of 10^9 bytes in a small file",
      pair("key").u32(9).u32(0).u64(1e9).zeros(999).bytes(),
      "HEADER_TRUNCATED",
    ],
    [
      "an array of texts that lie about their length",
      pair("key").u32(9).u32(8).u64(1).u64(1e6).bytes(),
      "HEADER_TRUNCATED",
    ],
    [
      "a text of 17 MiB",
      pair("key")
        .u32(8)
        .u64(17 * 2 ** 20)
        .zeros(17 * 2 ** 20)
        .bytes(),
      "HEADER_TOO_LARGE",
    ],
    ...[0, 13, 2 ** 31].map((alignment): [string, Uint8Array, string] => [
      `an alignment of ${alignment}`,
      ggufStart(0, 1).text("general.alignment").u32(4).u32(alignment).bytes(),
      "INVALID_METADATA",
    ]),
    ["an alignment that is i32", pair("general.alignment").u32(5).u32(32).bytes(), "INVALID_METADATA"],
    ["an alignment that is text", pair("general.alignment").u32(8).text("32").bytes(), "INVALID_METADATA"],
    ["a name twice", ggufFile([{ name: "a" }, { name: "a" }], 64), "DUPLICATE_KEY"],
    ["no name", ggufFile([{ name: "", dims: [1, 1] }], 64), "INVALID_METADATA"],
    ["no dimensions", ggufFile([{ name: "a".repeat(9), dims: [] }], 64), "INVALID_SHAPE"],
    ["5 dimensions", ggufFile([{ name: "a", dims: [1, 1, 1, 1, 1] }], 64), "INVALID_SHAPE"],
    ["a dimension of -1", ggufFile([{ name: "a", dims: [-1] }], 64), "INVALID_SHAPE"],
    ["a dimension of 2^63 beside one of 0", ggufFile([{ name: "a", dims: [2n ** 63n, 0] }], 64), "INVALID_SHAPE"],
    ["a product that overflows", ggufFile([{ name: "a", dims: [2 ** 32, 2 ** 32, 2] }], 64), "INVALID_SHAPE"],
    ...[4, 5, 42, 999, 0xffffffff].map((type): [string, Uint8Array, string] => [
      `type ${type}`,
      ggufFile([{ name: "a", type }], 64),
      "INVALID_DTYPE",
    ]),
    ["a row that is no whole number of blocks", ggufFile([{ name: "a", dims: [33], type: 2 }], 64), "INVALID_SHAPE"],
    ["an offset that is not aligned", ggufFile([{ name: "a" }, { name: "b", offset: 16 }], 64), "INVALID_OFFSETS"],
    ["a gap", ggufFile([{ name: "a" }, { name: "b", offset: 64 }], 128), "INVALID_OFFSETS"],
    ["an overlap", ggufFile([{ name: "a" }, { name: "b", offset: 0 }], 128), "INVALID_OFFSETS"],
    [
      "offsets the other way round",
      ggufFile(
        [
          { name: "a", offset: 32 },
          { name: "b", offset: 0 },
        ],
        128,
      ),
      "INVALID_OFFSETS",
    ],
    ["an offset of 2^64 - 1", ggufFile([{ name: "a", offset: MAX_U64 }], 64), "INVALID_OFFSETS"],
    ["data that is a byte short", ggufFile([{ name: "a" }], 15), "DATA_TRUNCATED"],
    ["no data at all", ggufFile([{ name: "a" }], 0), "DATA_TRUNCATED"],
    ["tensors of 2^53 - 64 bytes", ggufFile([{ name: "a", dims: [2n ** 51n - 16n] }], 64), "DATA_TRUNCATED"],
    ["one part of several", ggufStart(0, 1).text("split.count").u32(2).u8(3).u8(0).bytes(), "UNSUPPORTED_FORMAT"],
  ])("%s", async (_, bytes, code) => {
    expect((await errorOf(() => open(bytes))).code).toBe(code);
  });

  test("a header that is cut at any byte", async () => {
    const file = ggufStart(1, 2).text("key").u32(8).text("value").text("list").u32(9).u32(8).u64(1).text("x");
    file.text("tensor").u32(2).u64(2).u64(2).u32(0).u64(0);
    const bytes = file.bytes();
    for (let length = 0; length < bytes.length; length++) {
      const { code } = await errorOf(() => open(bytes.slice(0, length)));
      expect(["HEADER_TRUNCATED", "WRONG_FORMAT"], `${length}`).toContain(code);
    }
  });
});

test("long names are told, as llama.cpp refuses them", () => {
  expect(open(ggufFile([{ name: "n".repeat(64) }], 16)).warnings).toEqual([expect.stringContaining("64 characters")]);
});
