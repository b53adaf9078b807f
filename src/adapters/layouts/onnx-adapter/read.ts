/**
 * An .onnx_adapter file into an `Adapter`: `<path>.lora_A.weight` [in, rank], `<path>.lora_B.weight` [rank, out], as Olive
 * names the inputs of its graphs; `<path>.lora_A.MatMul.weight` of ONNX Runtime GenAI's builder, whose `attn` is `self_attn`.
 * The scale is in `lora_B` already.
 */

import { FormatError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import { type AdapterFiles, FACTORS_ONLY, type LayoutReader } from "../layout-reader.ts";
import { hasDimensions, hasShape, requireFloat } from "../peft/factor-shapes.ts";
import { Problems } from "../peft/problems.ts";

/** Only this container has these two. */
function detect({ store: { metadata } }: AdapterFiles): boolean {
  return metadata.has("adapter_version") && metadata.has("model_version");
}

/** @throws {MismatchError | FormatError | UnsupportedError} naming all misfits */
function read({ path, store }: AdapterFiles): Adapter {
  if (store.tensors.size === 0)
    throw new FormatError("INVALID_MODEL", "the adapter has no tensors", { file: store.path });
  const problems = new Problems();
  const pairs = new Map<string, { down?: TensorData; up?: TensorData }>();
  for (const tensor of store.tensors.values()) {
    const [, path, side, isGenai] = /^(.+)\.lora_([AB])\.(MatMul\.)?weight$/.exec(tensor.name) ?? [];
    const name = isGenai === undefined ? path : path?.replace(/(\.layers\.\d+)\.attn\./, "$1.self_attn.");
    if (name === undefined) {
      problems.add("ADAPTER_MISMATCH", tensor.name, "expected a name that ends in .lora_A.weight or .lora_B.weight");
      continue;
    }
    const pair = pairs.get(name) ?? {};
    pair[side === "A" ? "down" : "up"] = tensor;
    pairs.set(name, pair);
  }
  const modules = [...pairs].flatMap(([name, { down, up }]) => readModule(name, down, up, problems));
  problems.throwIfAny(store.path);
  return {
    path,
    layout: "onnx-adapter",
    method: "LoRA",
    convention: "lora",
    modules,
    ...FACTORS_ONLY,
    tensors: store.tensors,
    files: store.files,
    warnings: store.warnings,
  };
}

export const onnxAdapterReader: LayoutReader = { detect, read };

function readModule(
  name: string,
  down: TensorData | undefined,
  up: TensorData | undefined,
  problems: Problems,
): AdapterModule[] {
  if (down === undefined || up === undefined) {
    const present = quote(`lora_${up === undefined ? "A" : "B"}.weight`);
    problems.add("ADAPTER_INCOMPLETE", name, `expected lora_A.weight and lora_B.weight, got ${present}`);
    return [];
  }
  requireFloat(down);
  requireFloat(up);
  if (!hasDimensions([down, up], [2, 2], problems)) return [];
  const [rank = 0, outputs = 0] = up.shape;
  if (!hasShape(down, [down.shape[0] ?? 0, rank], problems) || !hasShape(up, [rank, outputs], problems)) return [];
  return [{ name, kind: "linear", delta: { kind: "lora", down, up, transposed: "both" }, rank, alpha: rank, scale: 1 }];
}
