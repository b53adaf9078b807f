// @ts-check
/**
 * ONNX graphs as bases, and what their data files are said to be: damaged bytes, whole merges and folded branches.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { inspect, merge } from "lora-tool";
import { mutateBytes } from "./mutate.js";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

/** Small ones, so that a byte hits something that matters. */
const CASES = ["conv2d", "gpt2-lora", "multihead-attention"];

/** @param {string} folder @returns {import("./targets.js").Target[]} */
export function makeGraphTargets(folder) {
  const seeds = CASES.flatMap((name) =>
    readdirSync(join(FIXTURES, "onnx-merge", name)).flatMap((file) => {
      if (!file.endsWith(".gz")) return [];
      const packed = join(FIXTURES, "onnx-merge", name, file.slice(0, -".gz".length));
      const data = file.startsWith("dynamo") ? readFileSync(`${packed}.data`) : undefined;
      const adapter = join(FIXTURES, "peft", name, "adapter");
      return [{ bytes: gunzipSync(readFileSync(`${packed}.gz`)), data, adapter, fold: file.startsWith("unmerged") }];
    }),
  );
  const around = join(folder, "graphs");
  mkdirSync(around, { recursive: true });
  const base = join(around, "model.onnx");
  const out = join(around, "out/merged.onnx");

  /** @param {import("./random.js").Random} random @param {boolean} dryRun */
  const prepare = (random, dryRun) => {
    const seed = random.pick(seeds);
    writeFileSync(base, mutateBytes(random, seed.bytes));
    const data = seed.data ?? Buffer.alloc(0);
    writeFileSync(join(around, "dynamo.onnx.data"), random.chance(0.1) ? data.subarray(1) : data);
    const adapters = seed.fold && random.chance(0.5) ? [] : [{ path: seed.adapter }];
    const fold = adapters.length === 0;
    return async () => {
      if (dryRun && random.chance(0.2)) await inspect({ path: base });
      const options = { base, adapters, fold, out, dryRun, workers: 1, verify: true };
      const outcome = await merge(options).catch((/** @type {unknown} */ error) => error);
      mkdirSync(join(around, "out"), { recursive: true });
      const left = readdirSync(join(around, "out")).filter((name) => !name.startsWith("merged.onnx"));
      rmSync(join(around, "out"), { recursive: true });
      if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
      if (outcome instanceof Error) throw outcome;
    };
  };
  return [
    { name: "graph", weight: 15, files: [around], prepare: (random) => prepare(random, true) },
    {
      name: "whole merge of a graph",
      weight: 0.5,
      maxSeconds: 10,
      files: [around],
      prepare: (random) => prepare(random, false),
    },
  ];
}
