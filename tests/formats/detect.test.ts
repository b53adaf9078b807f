import { describe, expect, test } from "vitest";
import { assertNotLookAlike, startsLikeSafetensors } from "../../src/formats/detect.ts";
import { errorOf } from "../support/errors.ts";
import { fileOf } from "../support/safetensors-bytes.ts";

const text = (content: string) => new TextEncoder().encode(content);

describe("assertNotLookAlike", () => {
  test.each([
    ["a web page behind white space", text("\n <html>")],
    ["an XML error", text('<?xml version="1.0"?><Error/>')],
    ["a JSON error", text('{ "message": "gone" }')],
    ["a pickle of protocol 5", Uint8Array.of(0x80, 5, 0x95, 1, 0, 0, 0, 0, 0, 0, 0)],
    ["an ONNX model that starts with its graph", Uint8Array.of(8, 10, 0x3a, 5, 0x12, 3, 0x61, 0x62, 0x63)],
  ])("knows %s", async (_, bytes) => {
    expect((await errorOf(() => assertNotLookAlike(bytes, "a"))).code).toBe("WRONG_FORMAT");
  });

  // The length of a header is arbitrary, so its bytes can spell another format's magic number.
  test.each([
    ["a pickle", 0x0280],
    ["a gzip archive", 0x088b1f],
    ["a ZIP archive", 0x04034b50],
    ["an ONNX model", 0x120708],
  ])("is not fooled by a header length that looks like %s", (_, headerBytes) => {
    for (const start of ["{", " ", "\n"]) {
      const bytes = fileOf(`${start}xxxx`, 0, BigInt(headerBytes));
      expect(startsLikeSafetensors(bytes)).toBe(true);
      expect(() => assertNotLookAlike(bytes, "a")).not.toThrow();
    }
  });

  test("leaves what it does not know to the parser", () => {
    expect(() => assertNotLookAlike(text("hello"), "a")).not.toThrow();
    expect(() => assertNotLookAlike(new Uint8Array(0), "a")).not.toThrow();
  });
});
