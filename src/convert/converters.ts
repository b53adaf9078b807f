/**
 * What `convert` can write, and what writes it.
 */

import { diffusersWriter } from "../adapters/layouts/diffusers/write.ts";
import { ggufWriter } from "../adapters/layouts/gguf/write.ts";
import { kohyaWriter } from "../adapters/layouts/kohya/write.ts";
import { mlxWriter } from "../adapters/layouts/mlx/write.ts";
import { onnxAdapterWriter } from "../adapters/layouts/onnx-adapter/write.ts";
import { peftWriter } from "../adapters/layouts/peft/write.ts";
import { isAdapter } from "../adapters/open-adapter.ts";
import { UnsupportedError } from "../core/errors.ts";
import { formatOf } from "../formats/registry.ts";
import { convertAdapter } from "./convert-adapter.ts";
import { convertToOnnx } from "./onnx/to-onnx.ts";
import { convertToSafetensors } from "./onnx/to-safetensors.ts";
import type { ConvertOptions, ConvertTarget } from "./options.ts";
import type { ConvertReport } from "./report.ts";

export const CONVERTERS: Record<ConvertTarget, (options: ConvertOptions) => Promise<ConvertReport>> = {
  diffusers: (options) =>
    convertAdapter(options, {
      layout: "diffusers",
      format: "safetensors",
      folderName: "pytorch_lora_weights.safetensors",
      plan: diffusersWriter,
    }),
  gguf: (options) => convertAdapter(options, { layout: "gguf", format: "gguf", plan: ggufWriter }),
  kohya: (options) => convertAdapter(options, { layout: "kohya", format: "safetensors", plan: kohyaWriter }),
  mlx: (options) => convertAdapter(options, { layout: "mlx", format: undefined, plan: mlxWriter }),
  onnx: convertToOnnx,
  // A graph holds a model. Whatever else is converted is an adapter, and the adapters of safetensors are PEFT's.
  safetensors: (options) => {
    if (formatOf(options.input) === "onnx") return convertToSafetensors(options);
    if (isAdapter(options.input)) return toPeft(options);
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "expected an ONNX graph or an adapter", {
      file: options.input,
      hint: "a model in safetensors needs no conversion",
    });
  },
  "onnx-adapter": (options) =>
    convertAdapter(options, { layout: "onnx-adapter", format: "onnx-adapter", plan: onnxAdapterWriter }),
  peft: toPeft,
};

function toPeft(options: ConvertOptions): Promise<ConvertReport> {
  return convertAdapter(options, { layout: "peft", format: undefined, plan: peftWriter });
}
