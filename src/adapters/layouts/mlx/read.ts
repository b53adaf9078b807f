/**
 * An adapter of mlx-lm (adapters.safetensors and adapter_config.json) into an `Adapter`.
 *
 * y += scale · x · lora_a · lora_b, with one rank and one final scale for all modules; fine_tune_type "full" holds whole
 * tensors, which replace the base's. Module names are those of the Hugging Face model (mlx-lm `tuner/`).
 */

import { FileError, FormatError } from "../../../core/errors.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter } from "../../adapter.ts";
import type { AdapterFiles, LayoutReader } from "../layout-reader.ts";
import { requireFloat } from "../peft/factor-shapes.ts";
import { Problems } from "../peft/problems.ts";
import { MLX_FACTORS, type MlxFactor, readMlxModule } from "./modules.ts";
import { isMlxSettings, readMlxSettings } from "./settings.ts";

function detect({ store, settings }: AdapterFiles): boolean {
  if (settings !== undefined) return isMlxSettings(settings.values);
  return [...store.tensors.keys()].some((name) => /(?<!\.weight)\.lora_[ab]$/.test(name));
}

/** @throws {MismatchError | FormatError | FileError | UnsupportedError} naming all misfits */
function read({ path, store, settings: file }: AdapterFiles): Adapter {
  if (file === undefined) {
    throw new FileError("FILE_NOT_FOUND", "no adapter_config.json beside the weights, which are of MLX's layout", {
      file: store.path,
      hint: "rank and scale stand in adapter_config.json only: put it into the same folder",
    });
  }
  if (store.tensors.size === 0)
    throw new FormatError("INVALID_MODEL", "the adapter has no tensors", { file: store.path });
  const settings = readMlxSettings(file.values, file.path);
  const problems = new Problems();
  const isFull = settings.type === "full";
  const modules = isFull
    ? []
    : [...sortFactors(store.tensors, problems)].flatMap(([name, factors]) =>
        readMlxModule(name, factors, settings, problems),
      );
  if (isFull) for (const tensor of store.tensors.values()) requireFloat(tensor);
  problems.throwIfAny(store.path);
  return {
    path,
    layout: "mlx",
    method: { lora: "LoRA", dora: "DoRA", full: "full fine-tuning" }[settings.type],
    convention: "lora",
    modules,
    overrides: isFull ? Array.from(store.tensors.values(), (value) => ({ name: value.name, value })) : [],
    tokenRows: [],
    // mlx-lm adds the delta of a tied embedding to the logits as well.
    keepsTie: true,
    ...(settings.baseModel === undefined ? {} : { baseModel: settings.baseModel }),
    fanInFanOut: false,
    tensors: store.tensors,
    files: [...store.files, file.identity],
    warnings: [
      ...store.warnings,
      ...settings.warnings,
      ...(settings.scale === 0 ? ["scale is 0: every delta is nothing"] : []),
    ],
  };
}

function sortFactors(
  tensors: ReadonlyMap<string, TensorData>,
  problems: Problems,
): ReadonlyMap<string, ReadonlyMap<MlxFactor, TensorData>> {
  const modules = new Map<string, Map<MlxFactor, TensorData>>();
  for (const [name, tensor] of tensors) {
    const factor = MLX_FACTORS.find((candidate) => name.endsWith(`.${candidate}`));
    if (factor === undefined) {
      problems.add("ADAPTER_MISMATCH", name, `expected a name that ends in ${MLX_FACTORS.join(", ")}`);
      continue;
    }
    const module = name.slice(0, -factor.length - 1);
    const factors = modules.get(module) ?? new Map<MlxFactor, TensorData>();
    modules.set(module, factors.set(factor, tensor));
  }
  return modules;
}

export const mlxReader: LayoutReader = { detect, read };
