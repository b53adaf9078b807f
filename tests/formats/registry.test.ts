import { describe, expect, test } from "vitest";
import { formatOf, openStore } from "../../src/formats/registry.ts";
import { errorOf } from "../support/errors.ts";
import { entry, fileOf } from "../support/safetensors-bytes.ts";
import { temporaryFile } from "../support/temporary-folder.ts";

const file = fileOf(JSON.stringify({ w: entry("U8", [2], 0, 2) }), 2);

describe("openStore", () => {
  test("recognises a format by the name, in any case", () => {
    expect(formatOf("/a/B.SafeTensors")).toBe("safetensors");
    expect(formatOf("/a/safetensors")).toBeUndefined();
  });

  test("recognises a format by the content where the name says nothing", () => {
    const path = temporaryFile("5f3a9c", file);
    expect([...openStore(path).tensors.keys()]).toEqual(["w"]);
  });

  test.each([
    ["a Git-LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "WRONG_FORMAT"],
    ["anything else", "hello, world", "UNSUPPORTED_FORMAT"],
    ["nothing", "", "UNSUPPORTED_FORMAT"],
  ])("refuses %s under a name that says nothing", async (_, content, code) => {
    expect((await errorOf(() => openStore(temporaryFile("blob", content)))).code).toBe(code);
  });

  test.each(["pytorch_model.bin", "a.pt", "a.pth", "a.CKPT", "a.pkl"])("never opens %s", async (name) => {
    // Valid safetensors inside: only the name can be the reason.
    const error = await errorOf(() => openStore(temporaryFile(name, file)));
    expect(error.code).toBe("UNSUPPORTED_FORMAT");
    expect(error.hint).toMatch(/run code/);
  });
});
