/**
 * An ONNX model → the weights of a checkpoint, as a folder or one file of safetensors. See `parameterTensors`.
 *
 * Where the model has a config.json, in its metadata or beside it, and the model type is a known one, every weight must be
 * there.
 */

import { join } from "node:path";
import { modelTypes } from "../../adapters/architecture/model-types.ts";
import { assertOutputName } from "../../adapters/output/output-name.ts";
import type { OutputTensor } from "../../adapters/output/output-tensor.ts";
import { writeAdapter } from "../../adapters/output/write-files.ts";
import { tensorBytes } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { Model } from "../../formats/model.ts";
import { openModel } from "../../formats/open-model.ts";
import { findFormat, formatOf } from "../../formats/registry.ts";
import { canonicalOrder, safetensorsFrame } from "../../formats/safetensors/writer.ts";
import type { FrameEntry } from "../../formats/weights-frame.ts";
import { bindWeights } from "../../models/bind-weights.ts";
import { describeModel } from "../../models/describe-model.ts";
import type { ModelDescription } from "../../models/description.ts";
import type { ConvertOptions } from "../options.ts";
import type { ModelConversion } from "../report.ts";
import { configTextOf } from "./config-text.ts";
import { mergeRecord } from "./merge-record.ts";
import { parameterTensors } from "./parameter-tensors.ts";

/** What Hugging Face's loaders look for in the header. */
const FORMAT = ["format", "pt"] as const;

/**
 * @throws {MismatchError} MODEL_MISMATCH with every weight whose name is not known, or that is missing
 * @throws {UnsupportedError} QUANTIZED_BASE, UNSUPPORTED_MODEL for weights that are not those of a checkpoint any more
 */
export async function convertToSafetensors(options: ConvertOptions): Promise<ModelConversion> {
  const started = performance.now();
  const { input, out, overwrite, signal, onProgress } = options;
  const isFile = formatOf(out) === "safetensors";
  assertOutputName(out, isFile ? "safetensors" : undefined, options.to);
  const model = await openModel(input);
  const { tensors: found, notes, warnings } = parameterTensors(model, graphOf(model));
  const tensors = canonicalOrder(found);
  const isComplete = isWhole(model, tensors);
  const config = isFile ? undefined : configTextOf(model);
  const report: ModelConversion = {
    kind: "model",
    input,
    out,
    from: "onnx",
    to: "safetensors",
    modelType: [...modelTypes(model.config)][0],
    tensors: tensors.length,
    bytes: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
    notes: config === undefined && !isFile ? [...notes, "no config.json was found: put it into the folder"] : notes,
    // Where all weights are there, what has no name is none.
    warnings: [...model.store.warnings, ...(isComplete ? [] : warnings)],
  };
  if (options.dryRun) return report;
  const metadata = new Map([FORMAT, ...mergeRecord(model.store.metadata)]);
  const output = {
    weightsName: isFile ? undefined : "model.safetensors",
    tensors,
    frame: (entries: readonly FrameEntry[]) => safetensorsFrame(entries, metadata),
    metadata,
    texts: new Map(config === undefined ? [] : [["config.json", config]]),
  };
  const written = await writeAdapter(out, output, { overwrite, signal, onProgress, inputs: model.store.files });
  const files = isFile ? [out] : written.files.map((name) => join(out, name));
  return { ...report, result: { files, seconds: (performance.now() - started) / 1000 } };
}

function graphOf({ graph, path, kind }: Model): NonNullable<Model["graph"]> {
  if (graph !== undefined) return graph;
  const found = kind === "folder" ? "a folder" : `a file of ${findFormat(path)}`;
  throw new UnsupportedError("UNSUPPORTED_FORMAT", `expected an ONNX model, got ${found}`, {
    file: path,
  });
}

/**
 * Whether every weight that the model needs is known to be there.
 *
 * @throws {MismatchError} MODEL_MISMATCH when some are known not to be
 */
function isWhole({ config, path, store }: Model, tensors: readonly OutputTensor[]): boolean {
  let description: ModelDescription;
  try {
    if (config === undefined) return false;
    description = describeModel(config, path);
  } catch (error) {
    // Models that cannot be computed here can be converted all the same.
    if (error instanceof UnsupportedError) return false;
    throw error;
  }
  const named = tensors.flatMap(({ name, dtype, shape, blocks }) => {
    const [block] = blocks;
    return block === undefined ? [] : [[name, { ...block.view.tensor, name, dtype, shape }] as const];
  });
  bindWeights(description, { ...store, tensors: new Map(named) }, { ignoresOthers: true });
  return true;
}
