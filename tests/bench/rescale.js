/**
 * Rescaling an adapter of 1 GB against a durable copy of its weights: with other alphas, and with the scales folded in.
 */

import { execFileSync } from "node:child_process";
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { durableCopy } from "./durable-copy.js";
import { adapter, CACHE } from "./model.js";

/** 1.0 GB in f32 on the linear layers of a 1.1 B model. */
const RANK = 320;
const RUNS = 5;

export async function run() {
  const folder = adapter(RANK);
  const weights = join(folder, "adapter_model.safetensors");
  console.log(`adapter of rank ${RANK}, ${(statSync(weights).size / 1e9).toFixed(2)} GB`);
  const rows = [];
  for (let index = 0; index < RUNS; index++) {
    // Interleaved, so that a disk that slows down slows all.
    rows.push({ copy: durableCopy(weights), convert: rescaleInChild(folder), bake: rescaleInChild(folder, "bake") });
  }
  const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
  const copy = median(rows.map((row) => row.copy));
  for (const kind of ["convert", "bake"]) {
    const seconds = median(rows.map((row) => row[kind].seconds));
    const ratio = median(rows.map((row) => row[kind].seconds / row.copy));
    const peak = Math.max(...rows.map((row) => row[kind].peakBytes));
    console.log(
      `${kind}: ${seconds.toFixed(2)} s, durable copy ${copy.toFixed(2)} s, ratio ${ratio.toFixed(2)} ` +
        `(${rows.map((row) => (row[kind].seconds / row.copy).toFixed(2)).join(", ")}), peak ${(peak / 1e6).toFixed(0)} MB`,
    );
  }
}

function rescaleInChild(folder, ...flags) {
  const out = join(CACHE, "rescaled");
  rmSync(out, { recursive: true, force: true });
  const child = join(import.meta.dirname, "rescale-child.js");
  const text = execFileSync(process.execPath, [child, folder, out, ...flags], { encoding: "utf8" });
  rmSync(out, { recursive: true, force: true });
  return JSON.parse(text);
}
