/** What is published, and that installing it runs nothing. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");

interface LockEntry {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dev?: boolean;
}

const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
  packages: Record<string, LockEntry>;
};
const installed = Object.entries(lock.packages).filter(([name]) => name !== "");

describe("the lock file", () => {
  test("announces no install script, so that npm runs none", () => {
    // npm puts the mark back when onnxruntime-node changes its version: take it out again by hand.
    const marked = installed.filter(([, entry]) => entry.hasInstallScript && !entry.dev).map(([name]) => name);
    expect(marked).toEqual([]);
  });

  test("pins every package by hash, from the registry", () => {
    for (const [name, entry] of installed) {
      expect(entry.integrity, name).toMatch(/^sha512-/);
      expect(entry.resolved ?? "https://registry.npmjs.org/", name).toMatch(/^https:\/\/registry\.npmjs\.org\//);
    }
  });
});

test("the package holds what runs and nothing else", () => {
  const output = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const parsed = JSON.parse(output.slice(output.indexOf("[")));
  const files: string[] = parsed[0].files.map((file: { path: string }) => file.path);
  for (const needed of [
    "bin/lora-tool.js",
    "dist/index.js",
    "dist/index.d.ts",
    "dist/core/cast/kernels.wasm",
    "LICENSE",
  ]) {
    expect(files).toContain(needed);
  }
  expect(files.filter((file) => /^(?:src|tests|fixtures)\//.test(file))).toEqual([]);
});

test("every entry of `exports` can be imported", async () => {
  const names = await Promise.all([
    import("lora-tool"),
    import("lora-tool/formats"),
    import("lora-tool/merge"),
    import("lora-tool/rescale"),
    import("lora-tool/train"),
  ]);
  const [all, formats, merge, rescale, train] = names.map((module) => Object.keys(module));
  expect(all).toEqual(expect.arrayContaining(["merge", "rescale", "verify", "inspect", "LoraToolError", "VERSION"]));
  expect(formats).toEqual(expect.arrayContaining(["openModel", "openStore", "writeSafetensors"]));
  expect(merge).toEqual(expect.arrayContaining(["merge", "verify"]));
  expect(rescale).toEqual(["extract", "rescale", "resize"]);
  expect(train).toEqual(["sweep", "train"]);
});
