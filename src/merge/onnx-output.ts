/**
 * A merged model as an ONNX graph: the base's own files with the changed constants overwritten, and everything else byte
 * for byte as it was.
 */

import { basename } from "node:path";
import { UsageError } from "../core/errors.ts";
import type { OnnxLayout } from "../formats/onnx/layout.ts";
import { assertOnnxName } from "../formats/onnx/output-name.ts";
import { openParameters, underOldNames } from "../formats/onnx/parameters/open.ts";
import type { OnnxParameters } from "../formats/onnx/parameters/parameters.ts";
import { stageModel } from "../formats/onnx/staged-model.ts";
import { finishOnnx, writeInline } from "../formats/onnx/writer.ts";
import { editGraph } from "./edit-graph.ts";
import { filesOf, type Inputs } from "./inputs.ts";
import type { CopyJob } from "./jobs.ts";
import type { MergeOutput, OutputOptions } from "./output.ts";
import type { PlacedTensor } from "./output-layout.ts";
import { type MergePlan, type PlannedTensor, tensorsOf } from "./plan.ts";
import { PENDING_SHA256, PROVENANCE_KEY } from "./provenance.ts";

/** @throws {UsageError} for an output that a graph cannot be: another kind of file, files of a given size */
export function assertGraphOutput({ out, maxShardSize }: OutputOptions): void {
  assertOnnxName(out);
  if (maxShardSize !== undefined) {
    throw new UsageError("a size of files is for safetensors: a graph keeps its data files", { subject: out });
  }
}

/**
 * @param plan where the numbers come from: that of the inputs, or what parts have made of it
 * @param provenance text of the metadata entry for given hashes; of one length
 */
export function stageOnnx(
  inputs: Inputs,
  graph: OnnxParameters,
  plan: MergePlan,
  provenance: (sha256: (path: string) => string) => string,
  options: OutputOptions,
): MergeOutput {
  const { out, overwrite = false } = options;
  const { editor, tensors } = editGraph(inputs.plan, graph, inputs.folding?.removal);
  const name = basename(out);
  const layOutWith = (sha256: (path: string) => string) => {
    editor.setMetadata(PROVENANCE_KEY, provenance(sha256));
    return editor.layOut(name);
  };
  // Hashes come last; until then zeros of the same length keep every offset where it will be.
  const layout = layOutWith(() => PENDING_SHA256);
  const staged = stageModel(out, layout, { overwrite, inputs: filesOf(inputs) });
  return {
    placed: placeTensors(layout, tensors, plan),
    copies: copiesOf(layout, tensors, staged.pathOf),
    pathOf: staged.pathOf,
    files: layout.files,
    complete: (sha256) => {
      const final = layOutWith(sha256);
      writeInline(final, staged.pathOf);
      finishOnnx(final, staged.pathOf);
    },
    flush: () => staged.flush(),
    readBack: () => underOldNames(graph, openParameters(staged.pathOf(name), out, { dataFiles: staged.dataFiles })),
    publish: (signal) => staged.publish(signal),
    discard: () => staged.discard(),
  };
}

function placeTensors(
  layout: OnnxLayout,
  tensors: ReadonlyMap<string, PlannedTensor>,
  plan: MergePlan,
): PlacedTensor[] {
  const planned = new Map(tensorsOf(plan).map((tensor) => [tensor.name, tensor]));
  return [...tensors].flatMap(([key, { name }]) => {
    const [place, tensor] = [layout.tensors.get(key), planned.get(name)];
    return place === undefined || tensor === undefined ? [] : [{ tensor, ...place }];
  });
}

/** Ranges of the base's files that stay as they are. */
function copiesOf(
  { files }: OnnxLayout,
  tensors: ReadonlyMap<string, PlannedTensor>,
  pathOf: (file: string) => string,
): CopyJob[] {
  return files.flatMap((file) =>
    file.pieces.flatMap(({ source, tensor, offset, byteLength }): CopyJob[] => {
      if (source.kind !== "file" || (tensor !== undefined && tensors.has(tensor))) return [];
      return [{ kind: "copy", source, start: 0, byteLength, path: pathOf(file.name), offset, subject: file.name }];
    }),
  );
}
