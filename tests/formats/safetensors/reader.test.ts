import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DTYPE_BITS } from "../../../src/core/dtype.ts";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { SAFETENSORS_DTYPES } from "../../../src/formats/safetensors/dtype.ts";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { errorOf } from "../../support/errors.ts";
import { entry, fileOf } from "../../support/safetensors-bytes.ts";
import { temporaryFile, temporaryFolder } from "../../support/temporary-folder.ts";

const open = (bytes: Uint8Array | string) => openSafetensors(temporaryFile("a.safetensors", bytes));
const header = (value: unknown) => JSON.stringify(value);
const F32 = header({ w: entry("F32", [2], 0, 8) });

describe("openSafetensors", () => {
  test("finds every tensor at its bytes, in the order of the data", () => {
    const store = open(
      fileOf(
        header({
          __metadata__: { format: "pt" },
          b: entry("F32", [2], 4, 12),
          a: entry("U8", [2, 2], 0, 4),
          empty: entry("I64", [0, 3], 4, 4),
          scalar: entry("F16", [], 12, 14),
        }),
        14,
      ),
    );
    expect([...store.tensors.keys()]).toEqual(["a", "empty", "b", "scalar"]);
    expect(store.metadata).toEqual(new Map([["format", "pt"]]));
    const b = store.tensors.get("b");
    expect(b).toMatchObject({ dtype: "f32", shape: [2], byteLength: 8 });
    expect(b && [...readTensorBytes(b)]).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
  });

  test.each(Object.entries(SAFETENSORS_DTYPES))("reads dtype %s", (name, dtype) => {
    const bytes = (8 * DTYPE_BITS[dtype]) / 8;
    expect(open(fileOf(header({ t: entry(name, [8], 0, bytes) }), bytes)).tensors.get("t")?.dtype).toBe(dtype);
  });

  test.each([
    ["no tensors", fileOf("{}")],
    ["leading white space", fileOf(` \t\n${F32}`, 8)],
    ["trailing white space", fileOf(`${F32} \t\r\n`, 8)],
    ["a header length that is no multiple of 8", fileOf(`${F32} `, 8)],
    [
      "several empty tensors at one offset",
      fileOf(header({ a: entry("F32", [0], 0, 0), b: entry("F32", [2, 0], 0, 0) })),
    ],
    ["a long name", fileOf(header({ ["x".repeat(65_536)]: entry("U8", [1], 0, 1) }), 1)],
    [
      "names that JavaScript objects have",
      fileOf(
        '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        2,
      ),
    ],
    [
      "names that look like paths",
      fileOf(header({ "../../x": entry("U8", [1], 0, 1), "C:\\x": entry("U8", [1], 1, 2) }), 2),
    ],
    ["a zero dimension among others", fileOf(header({ t: entry("F32", [2, 0, 5], 0, 0) }))],
  ])("accepts %s", (_, bytes) => {
    expect(() => open(bytes)).not.toThrow();
  });

  test("warns of null metadata, unknown fields and odd names, in one line each", () => {
    const odd = (begin: number) => ({ ...entry("U8", [1], begin, begin + 1), extra: [[1]] });
    const store = open(fileOf(header({ __metadata__: null, t: odd(0), "": odd(1), "a\u001b[2J": odd(2) }), 3));
    expect(store.warnings).toHaveLength(3);
    expect(store.warnings.join("\n")).toMatch(
      /: __metadata__ is null\n.*: "", "a\\u\{1b\}\[2J"\n.*: "t" \("extra"\), /,
    );
  });

  const one = (fields: object, dataBytes = 8) =>
    fileOf(header({ w: { ...entry("F32", [2], 0, 8), ...fields } }), dataBytes);
  const raw = (shape: string, offsets: string) =>
    fileOf(`{"w":{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}}`, 8);

  test.each<[string, Uint8Array | string, string]>([
    ["an empty file", "", "EMPTY_FILE"],
    ["1 byte", new Uint8Array(1), "HEADER_TRUNCATED"],
    ["7 bytes", new Uint8Array(7), "HEADER_TRUNCATED"],
    ["length 0", fileOf(""), "INVALID_JSON"],
    ["length 2^64 − 1", fileOf(F32, 8, 2n ** 64n - 1n), "HEADER_TOO_LARGE"],
    ["length 2^63", fileOf(F32, 8, 2n ** 63n), "HEADER_TOO_LARGE"],
    ["length 2^53 + 1", fileOf(F32, 8, 2n ** 53n + 1n), "HEADER_TOO_LARGE"],
    ["length above the limit", fileOf(F32, 8, 100_000_001n), "HEADER_TOO_LARGE"],
    ["length at the limit of a short file", fileOf(F32, 8, 100_000_000n), "HEADER_TRUNCATED"],
    ["length one past the file", fileOf(F32, 0, BigInt(F32.length + 1)), "HEADER_TRUNCATED"],
    [
      "a Git-LFS pointer",
      "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n",
      "WRONG_FORMAT",
    ],
    ["a web page", "<!DOCTYPE html><html></html>", "WRONG_FORMAT"],
    ["a JSON error", '{"error": "Repository not found"}', "WRONG_FORMAT"],
    ["a ZIP archive", "PK\u0003\u0004aaaaaaaaaaaa", "WRONG_FORMAT"],
    ["a pickle", Uint8Array.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9]), "WRONG_FORMAT"],
    ["a GGUF file", "GGUF\u0003\0\0\0\0\0\0\0", "WRONG_FORMAT"],
    ["a gzip archive", Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0]), "WRONG_FORMAT"],
    ["an HDF5 file", Uint8Array.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, 0]), "WRONG_FORMAT"],
    ["an ONNX model", Uint8Array.from([8, 8, 0x12, 7, 0x70, 0x79, 0x74, 0x6f, 0x72, 0x63, 0x68]), "WRONG_FORMAT"],
    ["all zeros", new Uint8Array(64), "INVALID_JSON"],
    ["NUL padding", fileOf(`${F32}\0\0`, 8), "INVALID_JSON"],
    ["a list as header", fileOf("[]"), "INVALID_JSON"],
    ["null as header", fileOf("null"), "INVALID_JSON"],
    ["invalid UTF-8", fileOf(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), "INVALID_UTF8"],
    [
      "a tensor twice, alike",
      fileOf(`{"w":${header(entry("U8", [1], 0, 1))},"w":${header(entry("U8", [1], 0, 1))}}`, 1),
      "DUPLICATE_KEY",
    ],
    [
      "a tensor twice by escape",
      fileOf(`{"a":${header(entry("U8", [1], 0, 1))},"\\u0061":${header(entry("U8", [1], 1, 2))}}`, 2),
      "DUPLICATE_KEY",
    ],
    ["metadata twice", fileOf('{"__metadata__":{},"__metadata__":{}}'), "DUPLICATE_KEY"],
    ["a metadata key twice", fileOf('{"__metadata__":{"a":"1","a":"2"}}'), "DUPLICATE_KEY"],
    ["dtype twice", fileOf('{"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1), "DUPLICATE_KEY"],
    ["a positional entry", fileOf('{"w":["F32",[2],[0,8]]}', 8), "INVALID_JSON"],
    ["a null entry", fileOf('{"w":null}'), "INVALID_JSON"],
    ["no dtype", one({ dtype: undefined }), "INVALID_DTYPE"],
    ["dtype f32", one({ dtype: "f32" }), "INVALID_DTYPE"],
    ["dtype F128", one({ dtype: "F128" }), "INVALID_DTYPE"],
    ["dtype toString", one({ dtype: "toString" }), "INVALID_DTYPE"],
    ["an odd number of F4", fileOf(header({ w: entry("F4", [3], 0, 2) }), 2), "INVALID_SHAPE"],
    ["F6 that does not fill bytes", fileOf(header({ w: entry("F6_E2M3", [5], 0, 4) }), 4), "INVALID_SHAPE"],
    ["no shape", one({ shape: undefined }), "INVALID_SHAPE"],
    ["a negative dimension", raw("[-2]", "[0,8]"), "INVALID_SHAPE"],
    ["a fractional dimension", raw("[2.0]", "[0,8]"), "INVALID_SHAPE"],
    ["dimension −0", raw("[-0]", "[0,0]"), "INVALID_SHAPE"],
    ["a text dimension", raw('["2"]', "[0,8]"), "INVALID_SHAPE"],
    ["a nested dimension", raw("[[2]]", "[0,8]"), "INVALID_SHAPE"],
    ["dimension 2^64", raw("[18446744073709551616]", "[0,8]"), "INVALID_SHAPE"],
    ["an overflowing product", raw("[4294967296,4294967296]", "[0,8]"), "INVALID_SHAPE"],
    ["an overflowing product that a zero hides", raw("[9007199254740991,2,0]", "[0,0]"), "INVALID_SHAPE"],
    ["65 dimensions", raw(`[${Array(65).fill(1).join(",")}]`, "[0,4]"), "INVALID_SHAPE"],
    ["one offset", raw("[2]", "[0]"), "INVALID_OFFSETS"],
    ["three offsets", raw("[2]", "[0,8,8]"), "INVALID_OFFSETS"],
    ["a fractional offset", raw("[2]", "[0,8.0]"), "INVALID_OFFSETS"],
    ["a negative offset", raw("[2]", "[-8,0]"), "INVALID_OFFSETS"],
    ["offset 2^53", raw("[2]", "[0,9007199254740992]"), "INVALID_OFFSETS"],
    ["reversed offsets", raw("[2]", "[8,0]"), "INVALID_OFFSETS"],
    ["a text offset", raw("[2]", '["0","8"]'), "INVALID_OFFSETS"],
    ["fewer bytes than the shape", raw("[2]", "[0,7]"), "SIZE_MISMATCH"],
    ["twice the bytes", raw("[1]", "[0,8]"), "SIZE_MISMATCH"],
    ["a gap at the start", fileOf(header({ w: entry("F32", [1], 4, 8) }), 8), "DATA_GAP"],
    ["a gap in the middle", fileOf(header({ a: entry("U8", [1], 0, 1), b: entry("U8", [1], 2, 3) }), 3), "DATA_GAP"],
    ["an overlap", fileOf(header({ a: entry("U8", [2], 0, 2), b: entry("U8", [2], 1, 3) }), 3), "DATA_OVERLAP"],
    [
      "two names for the same bytes",
      fileOf(header({ a: entry("U8", [2], 0, 2), b: entry("U8", [2], 0, 2) }), 2),
      "DATA_OVERLAP",
    ],
    ["data short by one byte", fileOf(F32, 7), "DATA_TRUNCATED"],
    ["no data", fileOf(F32, 0), "DATA_TRUNCATED"],
    ["trailing bytes", fileOf(F32, 9), "TRAILING_DATA"],
    ["numeric metadata", fileOf('{"__metadata__":{"a":1}}'), "INVALID_METADATA"],
    ["metadata as text", fileOf('{"__metadata__":"x"}'), "INVALID_METADATA"],
  ])("refuses %s", async (_, bytes, code) => {
    const path = temporaryFile("bad.safetensors", bytes);
    const error = await errorOf(() => openSafetensors(path));
    expect(error.code).toBe(code);
    expect(error.file).toBe(path);
    expect(error.message).toContain("bad.safetensors");
  });

  test("names both tensors of an overlap and the Git-LFS object", async () => {
    const overlap = fileOf(header({ first: entry("U8", [2], 0, 2), second: entry("U8", [2], 1, 3) }), 3);
    expect((await errorOf(() => open(overlap))).message).toMatch(/"second".*"first"/);
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n";
    expect((await errorOf(() => open(pointer))).message).toContain("sha256:0123456789ab…, 12345 bytes");
  });

  test("escapes what could move a terminal's cursor", async () => {
    const error = await errorOf(() => open(fileOf(header({ "\u001b[2Jw": entry("F32", [2], 0, 7) }), 7)));
    expect(error.message).toContain("\\u{1b}[2Jw");
    expect(error.message).not.toContain("\u001b");
  });

  test("refuses a file cut at any byte", async () => {
    const whole = fileOf(header({ a: entry("U8", [3], 0, 3), b: entry("F32", [1], 3, 7) }), 7);
    for (let length = 0; length < whole.length; length++) {
      const error = await errorOf(() => open(whole.subarray(0, length)));
      expect(error.name).toBe("FormatError");
    }
  });

  test("opens or refuses, but never fails otherwise, with any bit of the header flipped", async () => {
    const whole = fileOf(header({ a: entry("U8", [3], 0, 3), b: entry("F32", [1], 3, 7) }), 7);
    const path = temporaryFile("flipped.safetensors", whole);
    for (let bit = 0; bit < (whole.length - 7) * 8; bit++) {
      const flipped = whole.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(path, flipped);
      try {
        openSafetensors(path);
      } catch (error) {
        expect((error as Error).name, `bit ${bit}`).toBe("FormatError");
      }
    }
  });

  test("refuses a folder, a dangling link, a loop, a device and a FIFO, without waiting", async () => {
    const folder = temporaryFolder();
    const at = (name: string) => join(folder, name);
    mkdirSync(at("folder"));
    symlinkSync(at("nowhere"), at("dangling"));
    symlinkSync(at("loop"), at("loop"));
    execFileSync("mkfifo", [at("fifo")]);
    for (const path of [at("folder"), at("dangling"), at("loop"), at("fifo"), "/dev/zero", at("missing"), "a\0b"]) {
      const error = await errorOf(() => openSafetensors(path));
      expect(["NOT_A_REGULAR_FILE", "FILE_NOT_FOUND"], path).toContain(error.code);
    }
  });

  test("refuses a hundred thousand tensors on the same bytes quickly", async () => {
    const entries = Array.from({ length: 100_000 }, (_, index) => [`t${index}`, entry("U8", [1], 0, 1)]);
    expect((await errorOf(() => open(fileOf(header(Object.fromEntries(entries)), 1)))).code).toBe("DATA_OVERLAP");
  });
});
