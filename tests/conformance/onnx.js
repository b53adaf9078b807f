/**
 * `npm run conformance -- FOLDER`: the models that fixtures/generate/onnx_conformance.py collects from the onnx package
 * are each opened, their constants compared with what onnx reads, read into a graph where there is one, and written
 * again without a change and with all weights outside: byte for byte, and value for value.
 */

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTensorBytes } from "../../dist/formats/byte-source.js";
import { OnnxEditor } from "../../dist/formats/onnx/editor.js";
import { openOnnx } from "../../dist/formats/onnx/reader.js";
import { toGraph } from "../../dist/formats/onnx/to-graph.js";
import { finishOnnx, writeOnnx } from "../../dist/formats/onnx/writer.js";

const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: npm run conformance -- FOLDER");
  process.exit(2);
}
const expected = JSON.parse(readFileSync(join(folder, "tensors.json"), "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "lora-tool-conformance-"));
const counts = { models: 0, tensors: 0, graphs: 0, noGraph: 0, identical: 0, outside: 0 };
const failures = [];

for (const file of readdirSync(folder).filter((name) => name.endsWith(".onnx"))) {
  counts.models++;
  try {
    check(file);
  } catch (error) {
    failures.push(`${file}: ${error.message}`);
  }
}
rmSync(scratch, { recursive: true });
console.log(counts);
for (const failure of failures) console.log(failure);
process.exitCode = failures.length === 0 && counts.models > 0 ? 0 : 1;

function check(file) {
  const path = join(folder, file);
  const model = openOnnx(path);
  const tensors = describe(model);
  if (tensors !== JSON.stringify(sorted(expected[file]))) throw new Error(`other tensors than onnx reads: ${tensors}`);
  counts.tensors += model.constants.size;

  try {
    toGraph(model);
    counts.graphs++;
  } catch (error) {
    // Sequences, maps and functions, which a graph for computing does not have.
    if (error.code !== "UNSUPPORTED_MODEL") throw error;
    counts.noGraph++;
  }

  const same = write(new OnnxEditor(model), file);
  if (!readFileSync(same).equals(readFileSync(path))) throw new Error("written with differences");
  counts.identical++;

  const editor = new OnnxEditor(model);
  editor.moveToExternalData(1);
  if (describe(openOnnx(write(editor, file))) !== tensors) throw new Error("other tensors with weights outside");
  counts.outside++;
}

function describe({ store }) {
  const entries = [...store.tensors.values()].map((tensor) => {
    const digest = createHash("sha256").update(readTensorBytes(tensor)).digest("hex");
    return [tensor.name, [tensor.dtype, tensor.shape, digest]];
  });
  return JSON.stringify(sorted(Object.fromEntries(entries)));
}

function sorted(object) {
  return Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
}

function write(editor, name) {
  const layout = editor.layOut(name);
  const pathOf = (file) => join(scratch, file);
  for (const { name: file } of layout.files) writeFileSync(pathOf(file), "");
  writeOnnx(layout, pathOf);
  finishOnnx(layout, pathOf);
  return pathOf(name);
}
