/** The rules that keep the house in order: layers import downwards only, files stay short and say what they are. */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const SRC = join(ROOT, "src");

/** Each may import itself and what stands before it; folders on one line are siblings and do not see each other. */
const LAYERS = [
  ["core"],
  ["formats"],
  ["graph"],
  ["engine"],
  ["adapters"],
  ["models"],
  ["merge", "rescale", "inspect", "train"],
  ["convert"],
  ["index.ts"],
  ["cli"],
];

/** Where reading and writing files is a file's job. Elsewhere paths are only handed on. */
const MAY_USE_FS = [
  /^formats\//,
  /^cli\//,
  /^core\/cast\/kernel-module\.ts$/,
  /^engine\//,
  /^merge\/(parts|write-model|model-files)\.ts$/,
  /^adapters\/open-adapter\.ts$/,
  /^train\/run\/(checkpoint|metrics|output-folder|run-log)\.ts$/,
  /^train\/sweep\/(sweep|sweep-record)\.ts$/,
];

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.includes("assembly"))
  .sort();

const importsOf = (name: string) =>
  [...readFileSync(join(SRC, name), "utf8").matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)].map(([, path = ""]) =>
    relative(SRC, join(SRC, name, "..", path)),
  );

function layerOf(name: string): number {
  const folder = name.split("/")[0] ?? "";
  return LAYERS.findIndex((layer) => layer.includes(folder));
}

describe.each(files)("%s", (name) => {
  const text = readFileSync(join(SRC, name), "utf8");

  test("belongs to a layer and imports only from its own folder or lower layers", () => {
    expect(layerOf(name)).toBeGreaterThanOrEqual(0);
    const wrong = importsOf(name).filter((path) => {
      const sameFolder = path.split("/")[0] === name.split("/")[0];
      return !sameFolder && layerOf(path) >= layerOf(name);
    });
    expect(wrong).toEqual([]);
  });

  test("opens with what it is and has at most 250 lines", () => {
    expect(text).toMatch(/^(?:#!.*\n)?\/\*\*/);
    expect(text.split("\n").length).toBeLessThanOrEqual(251);
  });

  test("leaves the file system to the files whose purpose it is", () => {
    if (!/from "node:fs/.test(text)) return;
    expect(MAY_USE_FS.some((pattern) => pattern.test(name))).toBe(true);
  });
});

test("no file of the project points outside of it", () => {
  const own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "package.json"];
  const all = [...own.map((name) => join(ROOT, name)), ...files.map((name) => join(SRC, name))];
  for (const path of all) expect(readFileSync(path, "utf8"), path).not.toMatch(/\.\.\/shared|\/work\//);
});
