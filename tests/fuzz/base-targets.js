// @ts-check
/** What is fuzzed of exported models as bases of training: their graphs become graphs of fixed shapes. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { openOnnxBase } from "../../dist/train/base/onnx/onnx-base.js";

/** @typedef {import("./targets.js").Target} Target */

const EXPORTS = join(import.meta.dirname, "../../fixtures/onnx-train");

/**
 * @param {string} folder to work in
 * @returns {Target[]}
 */
export function makeBaseTargets(folder) {
  const path = join(folder, "base.onnx");
  const models = readdirSync(EXPORTS)
    .filter((name) => name.endsWith(".onnx.gz"))
    .map((name) => gunzipSync(readFileSync(join(EXPORTS, name))));
  return [
    {
      name: "onnx base",
      weight: 2,
      files: [path],
      prepare: (random) => {
        const bytes = Buffer.from(random.pick(models));
        // Single bytes, so that most of the file stays a graph: other sizes, operators, names and constants.
        for (let count = 1 + random.below(3); count > 0; count--) {
          const at = random.below(bytes.length);
          bytes[at] = random.chance(0.5) ? random.below(256) : (bytes[at] ?? 0) ^ 1;
        }
        writeFileSync(path, bytes);
        return async () => openOnnxBase(path);
      },
    },
  ];
}
