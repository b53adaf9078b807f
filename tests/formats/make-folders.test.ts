/** Folders around an output. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeFolders } from "../../src/formats/make-folders.ts";
import { runCli } from "../support/process.js";
import { temporaryFile, temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const ADAPTER = join(FIXTURES, "adapters/shakespeare-lora-r8");

it("makes what is missing, innermost first in its answer, and nothing twice", () => {
  const folder = temporaryFolder();
  const inner = join(folder, "a/b");
  expect(makeFolders(inner)).toEqual([inner, join(folder, "a")]);
  expect(existsSync(inner)).toBe(true);
  expect(makeFolders(inner)).toEqual([]);
});

it.runIf(process.platform === "linux")("ends where the system lets no folder be made", () => {
  const { code, stderr } = runCli(["rescale", ADAPTER, "--to", "rslora", "-o", "/proc/none/out"]);
  expect(code).toBe(1);
  expect(stderr).toContain("/proc/none/out");
});

it("names an output that lies inside of a file, for training too", () => {
  const out = join(temporaryFile("file", "x"), "out");
  const data = join(FIXTURES, "train/parity/rows.jsonl");
  const base = join(FIXTURES, "models/llama");
  const { code, stderr } = runCli(["train", "--base", base, "--data", data, "--steps", "1", "-o", out]);
  expect(code).toBe(1);
  expect(stderr).toContain(`error: ${out}`);
});
