/**
 * An .onnx_adapter file: its readers know no scale, it is 1 already.
 */

import { UsageError } from "../../core/errors.ts";
import { onnxAdapterFrame } from "../../formats/onnx-adapter/writer.ts";
import { changedTensors } from "../changed-tensors.ts";
import { rewrites } from "../plan.ts";
import { conventionNotes, planOneConvention } from "./one-convention.ts";
import type { Rescaler } from "./rescaler.ts";

export const rescaleOnnxAdapter: Rescaler = ({ adapter, store }, options) => {
  if (options.alpha !== undefined) {
    throw new UsageError("an .onnx_adapter holds no alpha: its scale is always 1", { subject: options.adapter });
  }
  const modules = planOneConvention(adapter.modules, options, options.adapter, (_, rank) => ({
    alpha: rank,
    scale: 1,
  }));
  const [adapterVersion = 1, modelVersion = 1] = ["adapter_version", "model_version"].map((key) =>
    Number(store.metadata.get(key)),
  );
  return {
    from: "lora",
    modules,
    rewrites: rewrites(modules),
    output: {
      weightsName: undefined,
      tensors: changedTensors(store.tensors.values(), modules, "rank-major"),
      frame: (entries) => onnxAdapterFrame(entries, { adapterVersion, modelVersion }),
      metadata: store.metadata,
      texts: new Map(),
    },
    notes: conventionNotes("an .onnx_adapter", options),
  };
};
