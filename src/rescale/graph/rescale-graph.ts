/**
 * `rescale` of an adapter inside an ONNX graph: the same graph, with other numbers where it scales its LoRA branches and
 * everything else byte for byte as it was.
 *
 * The staged files are opened like any other graph, and their branches must have the scales that were meant, before they
 * appear.
 */

import { basename, dirname, join } from "node:path";
import type { AdapterModule } from "../../adapters/adapter.ts";
import { holdsFactors, moduleOf } from "../../adapters/branch-adapter.ts";
import type { Rounding } from "../../adapters/output/multiply.ts";
import { TensorPieces } from "../../adapters/output/tensor-pieces.ts";
import { writePlaced } from "../../adapters/output/write-placed.ts";
import { findBranches } from "../../formats/onnx/branches/find-branches.ts";
import type { OnnxLayout } from "../../formats/onnx/layout.ts";
import { assertOnnxName } from "../../formats/onnx/output-name.ts";
import { openParameters } from "../../formats/onnx/parameters/open.ts";
import { type StagedModel, stageModel } from "../../formats/onnx/staged-model.ts";
import { finishOnnx, writeOnnx } from "../../formats/onnx/writer.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import { assertScales } from "../assert-scales.ts";
import { conventionNotes } from "../layouts/one-convention.ts";
import type { RescaleOptions } from "../options.ts";
import { folds, rewrites } from "../plan.ts";
import { describeModules, describeRoundings, type RescaleReport } from "../report.ts";
import { type EditedScales, editScales } from "./edit-scales.ts";
import { planGraph } from "./plan-graph.ts";

/**
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT for a graph without branches, UNSUPPORTED_ADAPTER for what cannot be folded
 * @throws {NonFiniteError} when a folded factor overflows its dtype
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function rescaleGraph(options: RescaleOptions): Promise<RescaleReport> {
  const started = performance.now();
  const { adapter: path, out, onProgress } = options;
  assertOnnxName(out);
  const { graph, store } = openParameters(path);
  const { branches, warnings } = planGraph(path, findBranches(graph), options);
  const plans = branches.map(({ module }) => module);
  const planned = plans.map(({ module, alpha, rank }) =>
    folds(options) ? { ...module, alpha, scale: alpha / rank } : module,
  );
  const modules = describeModules(plans, planned, rewrites(plans) ? undefined : new Map());
  assertScales(modules, options);
  const report: RescaleReport = {
    out,
    adapter: path,
    layout: "onnx-graph",
    method: "LoRA",
    from: "lora",
    to: options.to,
    convention: "lora",
    weights: rewrites(plans) ? "rewritten" : "same",
    modules,
    notes: conventionNotes("an ONNX graph", options, ""),
    warnings: [...store.warnings, ...warnings],
  };
  if (options.dryRun) return report;
  const edited = editScales(graph, branches);
  const layout = edited.editor.layOut(basename(out));
  const staged = stageModel(out, layout, { overwrite: options.overwrite ?? false, inputs: store.files });
  const { written, roundings } = await publishStage(staged, { inputs: store.files, signal: options.signal }, () => {
    const roundings = writeGraph(layout, edited, staged);
    const written = describeModules(plans, readBack(staged, out), roundings);
    assertScales(written, options);
    return { written, roundings };
  });
  const bytes = layout.files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  onProgress?.({ phase: "write", done: bytes, total: bytes, unit: "bytes" });
  const files = layout.files.map(({ name }) => join(dirname(out), name));
  const seconds = (performance.now() - started) / 1000;
  return { ...report, modules: written, result: { ...describeRoundings(roundings), bytes, seconds, files } };
}

/** The adapter as a reader of the staged files sees it, in the order of the plan. */
function readBack(staged: StagedModel, out: string): AdapterModule[] {
  const { graph } = openParameters(staged.pathOf(basename(out)), out, { dataFiles: staged.dataFiles });
  return findBranches(graph)
    .filter(holdsFactors)
    .map((branch) => moduleOf(branch, out));
}

function writeGraph(layout: OnnxLayout, { products }: EditedScales, staged: StagedModel): Map<string, Rounding> {
  writeOnnx(layout, staged.pathOf);
  const pieces = new TensorPieces();
  for (const [key, tensor] of products) {
    const place = layout.tensors.get(key);
    if (place !== undefined) writePlaced(staged.pathOf(place.file), [{ tensor, offset: place.offset }], pieces);
  }
  finishOnnx(layout, staged.pathOf);
  return pieces.roundings;
}
