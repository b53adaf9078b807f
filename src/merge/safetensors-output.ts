/**
 * A merged model as safetensors: headers in front of the data, small files beside, all in one staged folder or file.
 */

import { basename } from "node:path";
import { byteSize } from "../core/byte-size.ts";
import { UsageError } from "../core/errors.ts";
import type { Model } from "../formats/model.ts";
import { stageOutput } from "../formats/output.ts";
import { formatOf } from "../formats/registry.ts";
import { openSafetensors } from "../formats/safetensors/reader.ts";
import { filesOf, type Inputs } from "./inputs.ts";
import type { MergeOutput, OutputOptions } from "./output.ts";
import { layOut } from "./output-layout.ts";
import type { MergePlan, OutputDtype } from "./plan.ts";
import { PENDING_SHA256, PROVENANCE_KEY } from "./provenance.ts";
import { writeHeaders, writeSmallFiles } from "./write-model.ts";

/**
 * @param plan that of the inputs, or one that copies from parts
 * @param provenance text of the metadata entry for given hashes; of one length
 */
export function stageSafetensors(
  inputs: Inputs,
  plan: MergePlan,
  provenance: (sha256: (path: string) => string) => string,
  options: OutputOptions & { readonly dtype?: OutputDtype | undefined },
): MergeOutput {
  const { model } = inputs;
  const { out, overwrite = false, maxShardSize, dtype = "keep" } = options;
  const kind = outputKind(model, out);
  const staged = stageOutput(out, { kind, overwrite, inputs: filesOf(inputs) });
  const layOutWith = (sha256: (path: string) => string) =>
    layOut(plan, {
      fileName: model.kind === "folder" ? undefined : kind === "file" ? basename(out) : "model.safetensors",
      maxShardBytes: maxShardSize === undefined ? undefined : byteSize(String(maxShardSize)),
      metadata: new Map([[PROVENANCE_KEY, provenance(sha256)]]),
    });
  try {
    // Hashes come last; until then zeros of the same length keep every offset where it will be.
    const files = layOutWith(() => PENDING_SHA256);
    staged.reserve(files.reduce((sum, { byteLength }) => sum + byteLength, 0));
    const paths = new Map(files.map(({ name }) => [name, staged.createFile(name)]));
    const pathOf = (file: string) => paths.get(file) ?? "";
    return {
      placed: files.flatMap((file) => file.tensors),
      copies: [],
      pathOf,
      files,
      complete: (sha256) => {
        const final = layOutWith(sha256);
        writeHeaders(final, pathOf);
        if (kind === "folder") writeSmallFiles(staged, model, plan, final, dtype);
      },
      flush: () => staged.flush(),
      readBack: () => new Map([...paths.values()].flatMap((path) => [...openSafetensors(path).tensors])),
      publish: (signal) => staged.publish(signal),
      discard: () => staged.discard(),
    };
  } catch (error) {
    staged.discard();
    throw error;
  }
}

/** A folder stays a folder; a file becomes a file, or a folder with one weights file. */
function outputKind(model: Model, out: string): "folder" | "file" {
  const format = formatOf(out);
  if (format === undefined) return "folder";
  if (format !== "safetensors") {
    throw new UsageError("the base is no graph: expected a folder or a .safetensors file", { subject: out });
  }
  if (model.kind === "file") return "file";
  throw new UsageError("the base is a folder, so the output must be one", { subject: out });
}
