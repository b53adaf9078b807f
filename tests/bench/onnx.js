/**
 * A merge into an ONNX graph with 2.2 GB of external data against the safetensors merge of the same weights, with the
 * weights as a checkpoint has them ([out, in], Gemm) and as PyTorch's exporters turn them ([in, out], MatMul).
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeGraph } from "../../dist/formats/onnx/encoder.js";
import { openSafetensors } from "../../dist/formats/safetensors/reader.js";
import { adapter, baseModel, CACHE, make } from "./model.js";

const RUNS = 5;
const RANK = 16;

export async function run() {
  const base = baseModel();
  const bases = { safetensors: base, checkpoint: graphOf(base, false), turned: graphOf(base, true) };
  const rows = Object.keys(bases).map((name) => ({ name, seconds: [], peaks: [] }));
  for (let index = 0; index < RUNS; index++) {
    // Interleaved, so that a disk that slows down slows all.
    for (const { name, seconds, peaks } of rows) {
      const own = mergeInChild(bases[name], name === "safetensors" ? "merged" : "merged.onnx");
      seconds.push(own.seconds);
      peaks.push(own.peakBytes);
    }
  }
  for (const { name, seconds, peaks } of rows) {
    const ratios = seconds.map((value, index) => value / rows[0].seconds[index]);
    const each = ratios.map((ratio) => ratio.toFixed(2)).join(", ");
    console.log(
      `${name}: ${median(seconds).toFixed(1)} s, ${median(ratios).toFixed(2)} of safetensors (${each}), ` +
        `peak ${(median(peaks) / 1e6).toFixed(0)} MB`,
    );
  }
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** A graph whose constants are the base's tensors, in a copy of its file; a chain of layers, which nobody runs. */
function graphOf(base, turned) {
  const folder = join(CACHE, turned ? "graph-turned" : "graph-checkpoint");
  const path = join(folder, "model.onnx");
  make(folder, () => {
    const weights = join(base, "model.safetensors");
    copyFileSync(weights, join(folder, "model.onnx_data"));
    const initialisers = new Map();
    const nodes = [];
    for (const [name, tensor] of openSafetensors(weights).tensors) {
      const isLayer = name.endsWith("_proj.weight");
      const module = name.replace(/\.weight$/, "");
      const key = turned && isLayer ? `onnx::MatMul_${nodes.length}` : name;
      const shape = turned && isLayer ? tensor.shape.toReversed() : tensor.shape;
      initialisers.set(key, { ...tensor, name: key, shape });
      if (!isLayer) continue;
      const opType = turned ? "MatMul" : "Gemm";
      const transB = new Map(turned ? [] : [["transB", { kind: "int", value: 1n }]]);
      const path = `/${module.replaceAll(".", "/").replace("layers/", "layers.")}/${opType}`;
      const value = { opType, domain: "", name: path, attributes: transB };
      nodes.push({ ...value, inputs: ["x", key], outputs: [`${module}.output`] });
    }
    const x = { name: "x", dtype: "bf16", shape: undefined };
    const outputs = [{ ...x, name: nodes.at(-1).outputs[0] }];
    const body = { name: "bench", nodes, initialisers, inputs: [x], outputs };
    const graph = { ...body, irVersion: 10, opsetImports: new Map([["", 20]]) };
    const bytes = encodeGraph(graph, ({ source }) => ({ location: "model.onnx_data", offset: source.offset }));
    writeFileSync(path, bytes);
  });
  return path;
}

function mergeInChild(base, name) {
  const folder = join(CACHE, "merged-onnx");
  rmSync(folder, { recursive: true, force: true });
  const child = join(import.meta.dirname, "child.js");
  const text = execFileSync(process.execPath, [child, base, adapter(RANK), join(folder, name)], { encoding: "utf8" });
  rmSync(folder, { recursive: true, force: true });
  return JSON.parse(text);
}
