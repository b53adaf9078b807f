/**
 * A model folder → an ONNX model for inference.
 *
 * Weights keep their names, dtypes and bytes, so that a merge into the ONNX model and a merge into the folder give the
 * same. config.json travels in the model's metadata: with it the way back to a folder is exact.
 */

import { dirname, join } from "node:path";
import { writeWeights } from "../../adapters/output/write-weights.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { decodeUtf8 } from "../../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../../core/limits.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import type { Model } from "../../formats/model.ts";
import { resolveInFolder } from "../../formats/model-folder.ts";
import { CONFIG_KEY } from "../../formats/onnx/metadata.ts";
import { assertOnnxName } from "../../formats/onnx/output-name.ts";
import { stageModel } from "../../formats/onnx/staged-model.ts";
import { writeOnnx } from "../../formats/onnx/writer.ts";
import { openModel } from "../../formats/open-model.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import { findFormat } from "../../formats/registry.ts";
import { bindWeights } from "../../models/bind-weights.ts";
import { describeModel } from "../../models/describe-model.ts";
import type { ConvertOptions } from "../options.ts";
import type { ModelConversion } from "../report.ts";
import { buildInferenceGraph } from "./inference-graph.ts";
import { type GraphLayout, layOutGraph } from "./lay-out-graph.ts";
import { mergeRecord } from "./merge-record.ts";

/**
 * @throws {UnsupportedError} UNSUPPORTED_MODEL for model types and settings without a description here
 * @throws {MismatchError} MODEL_MISMATCH where config.json and weights do not fit
 */
export async function convertToOnnx(options: ConvertOptions): Promise<ModelConversion> {
  const started = performance.now();
  const { input, out, link = false } = options;
  assertOnnxName(out);
  const model = await openModel(input);
  const configPath = configPathOf(model);
  const description = describeModel(model.config ?? new Map(), configPath);
  const graph = buildInferenceGraph(description, bindWeights(description, model.store));
  const config = decodeUtf8(readSmallFile(configPath, MAX_CONFIG_BYTES).bytes, configPath);
  const metadata = new Map([[CONFIG_KEY, config], ...mergeRecord(model.store.metadata)]);
  const planned = layOutGraph(graph, { out, link, metadata });
  const stored = [...graph.initialisers.values()].filter(({ source }) => source.kind === "file");
  const report: ModelConversion = {
    kind: "model",
    input,
    out,
    from: "safetensors",
    to: "onnx",
    modelType: description.type,
    tensors: stored.length,
    bytes: stored.reduce((sum, { byteLength }) => sum + byteLength, 0),
    notes: [
      ...(link ? ["the weights stay where they are: convert again when their files have moved or changed"] : []),
      "config.json is in the model's metadata; tokenizer and other small files stay where they are",
    ],
    warnings: model.store.warnings,
  };
  if (options.dryRun) return report;
  const files = await writeFiles(planned, model, options);
  return { ...report, result: { files, seconds: (performance.now() - started) / 1000 } };
}

/** Path of the config.json that the model was opened with. */
function configPathOf(model: Model): string {
  const { path, kind, config } = model;
  if (kind === "file" && findFormat(path) !== "safetensors") {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", `expected a model of safetensors, got ${findFormat(path)}`, {
      file: path,
    });
  }
  const folder = kind === "folder" ? path : dirname(path);
  if (config !== undefined) return resolveInFolder(folder, "config.json");
  throw new FormatError("INVALID_CONFIG", "no config.json says what the model computes", {
    file: path,
    hint: `put the model's config.json into ${folder}`,
  });
}

async function writeFiles({ layout, data }: GraphLayout, model: Model, options: ConvertOptions): Promise<string[]> {
  const { out, overwrite = false, signal } = options;
  const { files } = model.store;
  const staged = stageModel(out, layout, { overwrite, inputs: files });
  await publishStage(staged, { inputs: files, signal }, async () => {
    writeOnnx(layout, staged.pathOf);
    if (data !== undefined) await writeWeights(staged.pathOf(data.name), data.frame, data.tensors, options);
  });
  return layout.files.map(({ name }) => join(dirname(out), name));
}
