import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { canonicalOrder, encodeHeader, writeSafetensors } from "../../../src/formats/safetensors/writer.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const range = (length: number) => Uint8Array.from({ length }, (_, index) => index);

describe("writeSafetensors", () => {
  // Bytes of safetensors 0.8.0 (`serialize`) for the same tensors.
  test.each([
    ["nothing", [], {}, "08000000000000007b7d202020202020"],
    [
      "dtypes by alignment, names by code point",
      [
        { name: "a", dtype: "f32", shape: [2], bytes: range(8) },
        { name: "b", dtype: "bf16", shape: [1, 2], bytes: range(4) },
        { name: "😀", dtype: "u8", shape: [1], bytes: Uint8Array.of(2) },
        { name: "\ufffd", dtype: "u8", shape: [1], bytes: Uint8Array.of(1) },
        { name: "x", dtype: "i64", shape: [], bytes: new Uint8Array(8) },
      ],
      { format: "pt" },
      "38010000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c2278223a7b226474797065223a22493634222c227368617065223a5b5d2c22646174615f6f666673657473223a5b302c385d7d2c2261223a7b226474797065223a22463332222c227368617065223a5b325d2c22646174615f6f666673657473223a5b382c31365d7d2c2262223a7b226474797065223a2242463136222c227368617065223a5b312c325d2c22646174615f6f666673657473223a5b31362c32305d7d2c22efbfbd223a7b226474797065223a225538222c227368617065223a5b315d2c22646174615f6f666673657473223a5b32302c32315d7d2c22f09f9880223a7b226474797065223a225538222c227368617065223a5b315d2c22646174615f6f666673657473223a5b32312c32325d7d7d20202000000000000000000001020304050607000102030102",
    ],
    [
      "escapes",
      [{ name: '"\\\n\u0001\u2028', dtype: "bool", shape: [3], bytes: Uint8Array.of(1, 0, 1) }],
      { 'k"': "v\t" },
      "68000000000000007b225f5f6d657461646174615f5f223a7b226b5c22223a22765c74227d2c225c225c5c5c6e5c7530303031e280a8223a7b226474797065223a22424f4f4c222c227368617065223a5b335d2c22646174615f6f666673657473223a5b302c335d7d7d202020202020010001",
    ],
  ] as const)("writes the bytes of the reference: %s", (_, tensors, metadata, expected) => {
    const path = join(temporaryFolder(), "out.safetensors");
    writeSafetensors(path, tensors, new Map(Object.entries(metadata)));
    expect(readFileSync(path).toString("hex")).toBe(expected);
    expect(openSafetensors(path).tensors.size).toBe(tensors.length);
  });

  test("sorts metadata by key, so that bytes repeat", () => {
    const keys = (entries: [string, string][]) => encodeHeader([], new Map(entries));
    expect(
      keys([
        ["b", "1"],
        ["a", "2"],
      ]),
    ).toEqual(
      keys([
        ["a", "2"],
        ["b", "1"],
      ]),
    );
  });

  test("keeps a given order where it is asked for one", () => {
    const entries = [
      { name: "z", dtype: "u8", shape: [1] },
      { name: "a", dtype: "f32", shape: [1] },
    ] as const;
    expect(new TextDecoder().decode(encodeHeader(entries, new Map())).indexOf('"z"')).toBe(9);
    expect(canonicalOrder(entries).map(({ name }) => name)).toEqual(["a", "z"]);
  });

  test("refuses what the format cannot hold", async () => {
    const encode = (entry: Parameters<typeof encodeHeader>[0][number]) => () => encodeHeader([entry], new Map());
    expect((await errorOf(encode({ name: "t", dtype: "u4", shape: [2] }))).code).toBe("UNSUPPORTED_DTYPE");
    expect((await errorOf(encode({ name: "t", dtype: "f4_e2m1", shape: [3] }))).code).toBe("INVALID_SHAPE");
    expect((await errorOf(encode({ name: "\ud800", dtype: "u8", shape: [2] }))).code).toBe("INVALID_UTF8");
    expect((await errorOf(encode({ name: "__metadata__", dtype: "u8", shape: [2] }))).code).toBe("DUPLICATE_KEY");
    const twice = { name: "t", dtype: "u8", shape: [2] } as const;
    expect((await errorOf(() => encodeHeader([twice, twice], new Map()))).code).toBe("DUPLICATE_KEY");
  });

  test("refuses bytes that do not fill the shape, and leaves an existing file alone", async () => {
    const path = join(temporaryFolder(), "out.safetensors");
    writeFileSync(path, "before");
    const short = { name: "t", dtype: "f32", shape: [2], bytes: range(7) } as const;
    expect((await errorOf(() => writeSafetensors(path, [short], new Map()))).code).toBe("SIZE_MISMATCH");
    expect(readFileSync(path, "utf8")).toBe("before");
  });

  test("takes a backslash for what it is", () => {
    const path = join(temporaryFolder(), "out.safetensors");
    const name = "\\ud800";
    writeSafetensors(path, [{ name, dtype: "u8", shape: [1], bytes: range(1) }], new Map());
    expect([...openSafetensors(path).tensors.keys()]).toEqual([name]);
  });
});
