import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeText } from "../../../src/core/text.ts";
import { decodeText, encodeText, hasEscapedBytes } from "../../../src/formats/onnx/text.ts";

describe("text of ONNX files", () => {
  test("is UTF-8, with a byte order mark kept", () => {
    expect(decodeText(Buffer.from("\ufeffgröße 😀"))).toBe("\ufeffgröße 😀");
    expect(hasEscapedBytes("größe 😀")).toBe(false);
  });

  // What Python's bytes.decode("utf-8", "surrogateescape") gives.
  test.each<[string, readonly number[], string]>([
    ["a lone continuation byte", [0x61, 0x80, 0x62], "a\udc80b"],
    ["an overlong form", [0xc0, 0xaf], "\udcc0\udcaf"],
    ["an overlong form of three bytes", [0xe0, 0x80, 0xaf], "\udce0\udc80\udcaf"],
    ["a surrogate", [0xed, 0xa0, 0x80], "\udced\udca0\udc80"],
    ["a code point above U+10FFFF", [0xf4, 0x90, 0x80, 0x80], "\udcf4\udc90\udc80\udc80"],
    ["a sequence that is cut off", [0xe2, 0x82], "\udce2\udc82"],
    ["a valid sequence behind a broken one", [0xff, 0xc3, 0xa9], "\udcffé"],
  ])("keeps %s", (_, bytes, text) => {
    expect(decodeText(Uint8Array.from(bytes))).toBe(text);
    expect(hasEscapedBytes(text)).toBe(true);
    expect(escapeText(text)).not.toMatch(/[\ud800-\udfff]/);
  });

  test("comes out as the bytes that went in, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(Uint8Array.from(encodeText(decodeText(bytes)))).toEqual(Uint8Array.from(bytes));
      }),
    );
  });
});
