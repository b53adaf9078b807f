/** Models and goldens of fixtures/onnx-train (fixtures/generate/onnx_train.py). */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll } from "vitest";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import type { TensorStore } from "../../src/formats/tensor-store.ts";
import type { Numbers } from "../reference/evaluate-graph.ts";
import { numbersOf } from "./read-tensor.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/onnx-train");

/** `<family>.<export>` of every model. */
export const EXPORTS = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".onnx.gz"))
  .map((name) => name.slice(0, -".onnx.gz".length));

/** Rows and columns of every golden. */
export const SHAPE = [2, 6] as const;

let unpacked: string | undefined;

/** The path of a model's file, unpacked until the tests of the file are over. */
export function exportPath(name: string): string {
  unpacked ??= makeFolder();
  const path = join(unpacked, `${name}.onnx`);
  writeFileSync(path, gunzipSync(readFileSync(join(FOLDER, `${name}.onnx.gz`))));
  return path;
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lora-tool-onnx-train-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

export function openGolden(name: string): TensorStore {
  return openSafetensors(join(FOLDER, `${name.split(".")[0]}.safetensors`));
}

export function goldenNumbers(store: TensorStore, name: string): Numbers {
  const tensor = store.tensors.get(name);
  if (tensor === undefined) throw new Error(`no tensor ${name}`);
  const data =
    tensor.dtype === "i64"
      ? Array.from(new BigInt64Array(new Uint8Array(readTensorBytes(tensor)).slice().buffer), Number)
      : [...numbersOf(tensor)];
  return { shape: tensor.shape, data };
}
