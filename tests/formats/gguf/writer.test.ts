import { describe, expect, test } from "vitest";
import type { Dtype } from "../../../src/core/dtype.ts";
import { pairsWithF32 } from "../../../src/formats/gguf/pairs.ts";
import { openGguf } from "../../../src/formats/gguf/reader.ts";
import { encodePairs, type GgufValue, ggufFrame } from "../../../src/formats/gguf/writer.ts";
import type { FrameEntry } from "../../../src/formats/weights-frame.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFile } from "../../support/temporary-folder.ts";

const PAIRS = new Map<string, GgufValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["general.name", { type: "string", value: "größe" }],
  ["adapter.lora.alpha", { type: "f32", value: 4.5 }],
  ["general.base_model.count", { type: "u32", value: 1 }],
]);

const entry = (name: string, shape: readonly number[], dtype: Dtype = "f32"): FrameEntry => ({ name, shape, dtype });

function file(entries: readonly FrameEntry[], ...rest: [pairs?: ReturnType<typeof encodePairs>, alignment?: number]) {
  const [pairs = encodePairs(PAIRS), alignment] = rest;
  const { header, offsets, size } = ggufFrame(entries, pairs, alignment);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  for (const [index, offset] of offsets.entries()) bytes[offset] = index + 1;
  return temporaryFile("a.gguf", bytes);
}

test("what is written is read: pairs, names, shapes outermost first, every dtype at its place", () => {
  const entries = [
    entry("blk.0.attn_q.weight.lora_a", [3, 5]),
    entry("blk.0.attn_q.weight.lora_b", [7, 3], "bf16"),
    entry("t", [2, 3, 4], "f16"),
    entry("last", [1], "f64"),
  ];
  const store = openGguf(file(entries));
  expect([...store.metadata]).toEqual([
    ["general.architecture", "llama"],
    ["general.name", "größe"],
    ["adapter.lora.alpha", "4.5"],
    ["general.base_model.count", "1"],
  ]);
  expect([...store.tensors.values()].map(({ name, shape, dtype }) => ({ name, shape, dtype }))).toEqual(entries);
  for (const { source } of store.tensors.values()) expect(source.kind === "file" && source.offset % 32).toBe(0);
  expect(store.warnings).toEqual([]);
});

describe("an f32 among the pairs", () => {
  test("is set where it stands, and every other byte stays", () => {
    const path = file([entry("t", [1])]);
    const before = encodePairs(PAIRS);
    const after = pairsWithF32(path, "adapter.lora.alpha", 9);
    const expected = encodePairs(new Map(PAIRS).set("adapter.lora.alpha", { type: "f32", value: 9 }));
    expect(after.count).toBe(before.count);
    expect(Buffer.from(after.bytes).equals(expected.bytes)).toBe(true);
  });

  test("is added at the end where there is none", () => {
    const { "adapter.lora.alpha": known, ...others } = Object.fromEntries(PAIRS);
    const path = file([entry("t", [1])], encodePairs(new Map(Object.entries(others))));
    const pairs = pairsWithF32(path, "adapter.lora.alpha", 2);
    const store = openGguf(file([entry("t", [1])], pairs));
    expect(known).toBeDefined();
    expect([...store.metadata].at(-1)).toEqual(["adapter.lora.alpha", "2"]);
  });
});

test.each<[string, FrameEntry, string]>([
  ["a name that llama.cpp does not take", entry("n".repeat(64), [1]), "UNSUPPORTED_FORMAT"],
  ["five dimensions", entry("t", [1, 1, 1, 1, 1]), "INVALID_SHAPE"],
  ["a scalar", entry("t", []), "INVALID_SHAPE"],
  ["a dtype that ggml lacks", entry("t", [1], "f8_e5m2"), "UNSUPPORTED_DTYPE"],
])("refuses %s", async (_, one, code) => {
  expect((await errorOf(() => ggufFrame([one], encodePairs(PAIRS)))).code).toBe(code);
});
