/**
 * A merge against what it cannot avoid: a durable copy of the base plus the same products at ONNX Runtime's Gemm speed.
 */

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { openEngine } from "../../dist/engine/engine.js";
import { openGemm } from "../../dist/engine/gemm.js";
import { durableCopy } from "./durable-copy.js";
import { adapter, baseModel, CACHE, LAYER_COUNT, LINEARS } from "./model.js";

const RANKS = [16, 1024];
const RUNS = 3;

export async function run(options) {
  const ranks = options.length > 0 ? options.map(Number) : RANKS;
  const base = baseModel();
  for (const rank of ranks) adapter(rank);
  for (const rank of ranks) {
    const rows = [];
    for (let index = 0; index < RUNS; index++) {
      // Interleaved, so that a disk that slows down slows both.
      const copy = durableCopy(join(base, "model.safetensors"));
      const products = await productSeconds(rank);
      const own = mergeInChild(base, adapter(rank));
      rows.push({ copy, products, own: own.seconds, ratio: own.seconds / (copy + products), peak: own.peakBytes });
    }
    const median = (key) => rows.map((row) => row[key]).sort((a, b) => a - b)[Math.floor(RUNS / 2)];
    console.log(
      `rank ${rank}: merge ${median("own").toFixed(1)} s, durable copy ${median("copy").toFixed(1)} s + products ` +
        `${median("products").toFixed(1)} s, ratio ${median("ratio").toFixed(2)} ` +
        `(${rows.map((row) => row.ratio.toFixed(2)).join(", ")}), peak ${(median("peak") / 1e6).toFixed(0)} MB`,
    );
  }
}

/** All products of the adapter, in tiles of 1024 rows, on every core, data in memory. */
async function productSeconds(rank) {
  const engine = await openEngine({ device: "cpu" });
  const gemm = openGemm(engine);
  let seconds = 0;
  for (const [, out, input] of LINEARS) {
    const m = Math.min(1024, out);
    const [left, right, target] = [m * rank, rank * input, m * input].map((length) =>
      new Float32Array(length).fill(0.5),
    );
    const product = { m, n: input, k: rank, left, right, target };
    await gemm.multiply(product);
    const started = performance.now();
    await gemm.multiply(product);
    seconds += ((performance.now() - started) / 1000) * (out / m) * LAYER_COUNT;
  }
  await engine.close();
  return seconds;
}

function mergeInChild(base, adapterFolder) {
  const out = join(CACHE, "merged");
  rmSync(out, { recursive: true, force: true });
  const child = join(import.meta.dirname, "child.js");
  const text = execFileSync(process.execPath, [child, base, adapterFolder, out], { encoding: "utf8" });
  rmSync(out, { recursive: true, force: true });
  return JSON.parse(text);
}
