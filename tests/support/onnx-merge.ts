/** Cases of fixtures/onnx-merge: graphs, their adapters under fixtures/peft, and what ONNX Runtime computes with a graph. */

import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

interface PeftCase {
  readonly description: string;
  readonly adapters: readonly { readonly path: string; readonly weight: number }[];
}

/** A graph of a case, unpacked into a folder of its own with its data file; `withConfig` puts the base's config.json beside. */
export function unpackGraph(name: string, graph: string, withConfig: boolean): string {
  const folder = temporaryFolder();
  const packed = join(FIXTURES, "onnx-merge", name, `${graph}.onnx`);
  writeFileSync(join(folder, `${graph}.onnx`), gunzipSync(readFileSync(`${packed}.gz`)));
  if (existsSync(`${packed}.data`)) copyFileSync(`${packed}.data`, join(folder, `${graph}.onnx.data`));
  if (withConfig) copyFileSync(join(FIXTURES, "peft", name, "base/config.json"), join(folder, "config.json"));
  return join(folder, `${graph}.onnx`);
}

export function adaptersOf(name: string) {
  return caseOf(name).adapters.map(({ path, weight }) => ({ path: join(FIXTURES, "peft", name, path), weight }));
}

export function caseOf(name: string): PeftCase {
  return JSON.parse(readFileSync(join(FIXTURES, "peft", name, "case.json"), "utf8"));
}

/** The largest distance of a graph's outputs from those of PEFT's unmerged model. */
export async function distanceFromPeft(name: string, graph: string): Promise<number> {
  const { tensors } = openSafetensors(join(FIXTURES, "peft", name, "io.safetensors"));
  const inputs = tensors.get("inputs") ?? tensors.get("input_ids");
  const outputs = tensors.get("outputs") ?? tensors.get("logits");
  if (inputs === undefined || outputs === undefined) throw new Error(`${name} has no inputs and outputs`);
  const found = await runGraph(graph, inputs);
  const expected = numbersOf(outputs);
  if (found.length !== expected.length) throw new Error(`expected ${expected.length} numbers, got ${found.length}`);
  return found.reduce((most, value, index) => Math.max(most, Math.abs(value - Number(expected[index]))), 0);
}

/** The numbers of a graph's only output. */
export async function runGraph(path: string, inputs: TensorData): Promise<Float32Array> {
  const session = await InferenceSession.create(path, { logSeverityLevel: 3 });
  try {
    const dtype = inputs.dtype === "i64" ? "int64" : "float32";
    const feed = new Tensor(dtype, numbersOf(inputs) as Float32Array, inputs.shape);
    const results = await session.run({ [session.inputNames[0] ?? ""]: feed });
    return results[session.outputNames[0] ?? ""]?.data as Float32Array;
  } finally {
    await session.release();
  }
}

function numbersOf(tensor: TensorData): Float32Array | BigInt64Array {
  const { buffer } = Uint8Array.from(readTensorBytes(tensor));
  return tensor.dtype === "i64" ? new BigInt64Array(buffer) : new Float32Array(buffer);
}
