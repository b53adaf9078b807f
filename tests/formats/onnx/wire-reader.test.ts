import { describe, expect, test } from "vitest";
import { MAX_PROTOBUF_DEPTH } from "../../../src/core/limits.ts";
import { WireReader } from "../../../src/formats/onnx/wire-reader.ts";
import { errorOf } from "../../support/errors.ts";
import { type Bytes, bytesOf, concat, fixed32, int, sub, varintBytes } from "./build.ts";

function wireOf(bytes: Bytes): WireReader {
  const read = (target: Uint8Array, position: number) => target.set(bytes.subarray(position, position + target.length));
  return new WireReader({ path: "file.onnx", size: bytes.length, read });
}

function fieldsOf(bytes: Bytes) {
  const wire = wireOf(bytes);
  return [...wire.fields([wire.root])];
}

const startGroup = (field: number) => varintBytes(field * 8 + 3);
const endGroup = (field: number) => varintBytes(field * 8 + 4);
const varint11 = Uint8Array.from([...Array<number>(10).fill(0x80), 0]);

describe("WireReader", () => {
  test("finds each field and its value, of every wire type", () => {
    const group = concat(startGroup(5), int(1, 7), sub(2, "x"), endGroup(5));
    const bytes = concat(
      int(1, 300),
      sub(2, "abc"),
      fixed32(3, 1.5),
      concat(varintBytes(4 * 8 + 1), new Uint8Array(8)),
      group,
    );
    const fields = fieldsOf(bytes);
    expect(fields.map(({ tag, tagStart, start, end }) => [tag >>> 3, tag & 7, tagStart, start, end])).toEqual([
      [1, 0, 0, 1, 3],
      [2, 2, 3, 5, 8],
      [3, 5, 8, 9, 13],
      [4, 1, 13, 14, 22],
      [5, 3, 22, 23, 29],
    ]);
  });

  test.each([0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)])("reads the integer %s exactly", (value) => {
    const wire = wireOf(int(1, value));
    const [field] = wire.fields([wire.root]);
    expect(field && wire.int64(field)).toBe(value);
  });

  test("reads packed and single values of a repeated field alike", () => {
    const values = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)];
    const packed = sub(7, ...values.map((value) => varintBytes(value)));
    for (const bytes of [packed, concat(...values.map((value) => int(7, value)))]) {
      const wire = wireOf(bytes);
      const found: number[] = [];
      for (const field of wire.fields([wire.root])) wire.forEachVarint(field, (low) => found.push(low));
      expect(found).toEqual(values);
    }
  });

  test("finds fields and values that lie across the ends of its window", () => {
    for (let padding = 32_740; padding < 32_780; padding++) {
      const wire = wireOf(concat(sub(1, new Uint8Array(padding)), sub(2, "value"), int(3, 2n ** 63n - 1n)));
      const [, text, number] = wire.fields([wire.root]);
      expect(text && wire.text(text)).toBe("value");
      expect(number && wire.int64(number)).toBe(2n ** 63n - 1n);
    }
  });

  test.each<[string, Bytes]>([
    ["a varint of eleven bytes", concat(varintBytes(8), varint11)],
    ["a varint that does not end", Uint8Array.of(8, 0x80, 0x80)],
    ["a tag that does not end", Uint8Array.of(0x80)],
    ["a tag of more than 32 bits", concat(varintBytes(2n ** 35n), int(1, 1))],
    ["a length one beyond the end", concat(varintBytes(10), varintBytes(2), Uint8Array.of(1))],
    ["a length of 2^31", concat(varintBytes(10), varintBytes(2 ** 31), new Uint8Array(16))],
    [
      "a length of 2^32 + 8, which 32 bits cut to 8",
      concat(varintBytes(10), varintBytes(2 ** 32 + 8), new Uint8Array(16)),
    ],
    ["a length of 2^63", concat(varintBytes(10), varintBytes(2n ** 63n), new Uint8Array(16))],
    ["a length of 2^64 − 1", concat(varintBytes(10), varintBytes(2n ** 64n - 1n), new Uint8Array(16))],
    ["a fixed64 that is cut off", concat(varintBytes(9), new Uint8Array(7))],
    ["a fixed32 that is cut off", concat(varintBytes(13), new Uint8Array(3))],
    ["the tag 0", Uint8Array.of(0)],
    ["field number 0", Uint8Array.of(2, 0)],
    ["wire type 6", Uint8Array.of(14)],
    ["wire type 7", Uint8Array.of(15)],
    ["the end of a group that never started", endGroup(1)],
    ["a group that does not end", startGroup(1)],
    ["the end of another group", concat(startGroup(1), endGroup(2))],
    ["a group that ends outside of its message", concat(sub(1, startGroup(2)), endGroup(2))],
    ["100,000 groups in each other", concat(...Array<Bytes>(100_000).fill(startGroup(1)))],
  ])("refuses %s", async (_, bytes) => {
    const error = await errorOf(() => {
      const wire = wireOf(bytes);
      for (const field of wire.fields([wire.root])) if ((field.tag & 7) === 2) [...wire.fields([wire.child(field)])];
    });
    expect(error.code).toBe("INVALID_PROTOBUF");
    expect(error.message).toMatch(/^file\.onnx: invalid protobuf at byte \d+: /);
  });

  test("steps over groups as deep as messages may be", () => {
    const depth = MAX_PROTOBUF_DEPTH;
    const groups = concat(...Array<Bytes>(depth).fill(startGroup(1)), ...Array<Bytes>(depth).fill(endGroup(1)));
    expect(fieldsOf(concat(groups, int(2, 1)))).toHaveLength(2);
  });

  test("refuses messages that nest deeper than the limit", async () => {
    const descend = (bytes: Bytes) => {
      const wire = wireOf(bytes);
      for (let span = wire.root, [field] = wire.fields([span]); field !== undefined; [field] = wire.fields([span]))
        span = wire.child(field);
    };
    let bytes: Bytes = new Uint8Array();
    for (let depth = 0; depth < MAX_PROTOBUF_DEPTH; depth++) bytes = sub(1, bytes);
    descend(bytes);
    expect((await errorOf(() => descend(sub(1, bytes)))).code).toBe("INVALID_PROTOBUF");
  });

  test("refuses packed values whose last one is cut off", async () => {
    const wire = wireOf(sub(1, bytesOf(Uint8Array.of(1, 0x80))));
    const [field] = wire.fields([wire.root]);
    expect((await errorOf(() => field && wire.forEachVarint(field, () => undefined))).code).toBe("INVALID_PROTOBUF");
  });

  test("refuses more text than fits in memory, in however many pieces", async () => {
    const wire = wireOf(sub(1, new Uint8Array(1024 * 1024)));
    const [field] = wire.fields([wire.root]);
    const read = () => {
      for (let count = 0; count < 300; count++) field && wire.text(field);
    };
    expect((await errorOf(read)).code).toBe("HEADER_TOO_LARGE");
  });
});
