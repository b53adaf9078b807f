import { appendFileSync, chmodSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  assertUnchanged,
  readSmallFile,
  readTensorBytes,
  readTensorRangeSync,
  withFile,
} from "../../src/formats/byte-source.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import { errorOf } from "../support/errors.ts";
import { temporaryFile, temporaryFolder } from "../support/temporary-folder.ts";

const bytes = Uint8Array.from({ length: 20 }, (_, index) => index);

function tensorAt(path: string, offset: number, byteLength: number): TensorData {
  return { name: "t", dtype: "u8", shape: [byteLength], byteLength, source: { kind: "file", path, offset } };
}

const inMemory: TensorData = { ...tensorAt("", 0, 20), source: { kind: "memory", bytes } };

function readRange(tensor: TensorData, byteOffset: number, length: number): number[] {
  const target = new Uint8Array(length);
  readTensorRangeSync(tensor, byteOffset, target);
  return [...target];
}

describe("a tensor's bytes", () => {
  test("are read whole or by range, from a file and from memory", () => {
    const path = temporaryFile("a", bytes);
    expect([...readTensorBytes(tensorAt(path, 4, 6))]).toEqual([4, 5, 6, 7, 8, 9]);
    expect(readRange(tensorAt(path, 4, 6), 2, 3)).toEqual([6, 7, 8]);
    expect(readTensorBytes(inMemory)).toBe(bytes);
    expect(readRange(inMemory, 2, 3)).toEqual([2, 3, 4]);
  });

  test("are never made up where the file or the memory ends early", async () => {
    const path = temporaryFile("a", bytes);
    expect((await errorOf(() => readRange(tensorAt(path, 16, 8), 0, 8))).code).toBe("INPUT_CHANGED");
    expect((await errorOf(() => readTensorBytes(tensorAt(path, 16, 8)))).message).toMatch(
      /ends at byte 20, expected 4/,
    );
    expect(() => readRange(inMemory, 16, 8)).toThrow(RangeError);
  });

  test("come from the file that is there now, not from one that was replaced", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a");
    writeFileSync(path, bytes);
    expect(readRange(tensorAt(path, 0, 2), 0, 2)).toEqual([0, 1]);
    writeFileSync(join(folder, "b"), bytes.toReversed());
    renameSync(join(folder, "b"), path);
    await setImmediate();
    expect(readRange(tensorAt(path, 0, 2), 0, 2)).toEqual([19, 18]);
  });

  test("are read from more files than the cache keeps open", () => {
    const folder = temporaryFolder();
    const paths = Array.from({ length: 100 }, (_, index) => join(folder, String(index)));
    for (const [index, path] of paths.entries()) writeFileSync(path, Uint8Array.of(index));
    expect(paths.map((path) => readRange(tensorAt(path, 0, 1), 0, 1)[0])).toEqual(paths.map((_, index) => index));
  });
});

describe("readSmallFile", () => {
  test("reads a file whole and refuses a large one before reading it", async () => {
    const path = temporaryFile("a", bytes);
    expect(readSmallFile(path, 20).bytes).toEqual(bytes);
    expect((await errorOf(() => readSmallFile(path, 19))).message).toMatch(/takes 20 bytes, expected at most 19/);
  });

  test("names the file as the user knows it", async () => {
    const error = await errorOf(() => readSmallFile(join(temporaryFolder(), "blob"), 1, "model/config.json"));
    expect(error.message).toBe("model/config.json: no such file or folder");
  });
});

describe("assertUnchanged", () => {
  test.each<[string, (path: string) => void]>([
    ["grew", (path) => appendFileSync(path, "x")],
    ["shrank", (path) => truncateSync(path, 3)],
    [
      "was written over in place, its times set back",
      (path) => {
        writeFileSync(path, bytes.toReversed());
        utimesSync(path, 1, 1);
      },
    ],
    [
      "was replaced by an equal one",
      (path) => {
        writeFileSync(`${path}.new`, bytes);
        renameSync(`${path}.new`, path);
      },
    ],
    ["is gone", (path) => rmSync(path)],
    ["has other rights", (path) => chmodSync(path, 0o600)],
  ])("notices a file that %s", async (_, change) => {
    const path = temporaryFile("a", bytes);
    utimesSync(path, 1, 1);
    const identity = withFile(path, (file) => file.identity);
    expect(() => assertUnchanged(identity)).not.toThrow();
    await setImmediate();
    change(path);
    const error = await errorOf(() => assertUnchanged(identity));
    expect(error.code).toBe("INPUT_CHANGED");
    expect(error.file).toBe(path);
  });
});
