/**
 * A LoRA adapter of llama.cpp (GGUF with `general.type` adapter) into an `Adapter`.
 *
 * `<tensor of the base>.lora_a` [rank, in], `.lora_b` [out, rank], as llama.cpp runs them on its own [out, in] weights;
 * `token_embd.weight.lora_a` is [tokens, rank]; experts lie one after the other, as modules of their own here. Scale
 * alpha / rank; an alpha of 0, or none, is a scale of 1.
 */

import { FormatError } from "../../../core/errors.ts";
import { sliceTensor, type TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule, LoraDelta } from "../../adapter.ts";
import { effectiveScale } from "../../scale.ts";
import { type AdapterFiles, FACTORS_ONLY, type LayoutReader } from "../layout-reader.ts";
import { hasDimensions, hasShape, requireFloat } from "../peft/factor-shapes.ts";
import { Problems } from "../peft/problems.ts";
import { ggufModule } from "./names.ts";
import { type GgufSettings, readGgufSettings } from "./settings.ts";

function detect({ store: { metadata } }: AdapterFiles): boolean {
  return metadata.get("general.type") === "adapter";
}

/** @throws {MismatchError | FormatError | UnsupportedError} naming all misfits */
function read({ path, store }: AdapterFiles): Adapter {
  const settings = readGgufSettings(store.metadata, store.path);
  if (store.tensors.size === 0)
    throw new FormatError("INVALID_MODEL", "the adapter has no tensors", { file: store.path });
  const problems = new Problems();
  const pairs = [...sortPairs(store.tensors, problems)];
  const modules = pairs.flatMap(([target, pair]) => readModule(target, pair, settings, problems));
  problems.throwIfAny(store.path);
  const baseModel = store.metadata.get("general.base_model.0.name");
  return {
    path,
    layout: "gguf",
    method: "LoRA",
    convention: "lora",
    modules,
    ...FACTORS_ONLY,
    ...(baseModel === undefined ? {} : { baseModel }),
    tensors: store.tensors,
    files: store.files,
    warnings: [
      ...store.warnings,
      ...(settings.alpha === 0 ? ["adapter.lora.alpha is 0 or missing, which llama.cpp takes for a scale of 1"] : []),
    ],
  };
}

export const ggufReader: LayoutReader = { detect, read };

interface Pair {
  down?: TensorData;
  up?: TensorData;
}

/** By the name of the base's tensor, without `.weight`. */
function sortPairs(tensors: ReadonlyMap<string, TensorData>, problems: Problems): ReadonlyMap<string, Readonly<Pair>> {
  const pairs = new Map<string, Pair>();
  for (const tensor of tensors.values()) {
    const [, target, side] = /^([\w.]*)\.weight\.lora_([ab])$/.exec(tensor.name) ?? [];
    if (target === undefined) {
      problems.add("ADAPTER_MISMATCH", tensor.name, "expected a name that ends in .weight.lora_a or .weight.lora_b");
      continue;
    }
    const pair = pairs.get(target) ?? {};
    pair[side === "a" ? "down" : "up"] = tensor;
    pairs.set(target, pair);
  }
  return pairs;
}

function readModule(
  target: string,
  { down, up }: Readonly<Pair>,
  { architecture, alpha }: GgufSettings,
  problems: Problems,
): AdapterModule[] {
  const module = ggufModule(architecture, target);
  if (module === undefined) {
    problems.add("ADAPTER_MISMATCH", target, `is no tensor of the architecture ${architecture} that is read`);
    return [];
  }
  if (down === undefined || up === undefined) {
    problems.add("ADAPTER_INCOMPLETE", target, `expected lora_a and lora_b, got lora_${up === undefined ? "a" : "b"}`);
    return [];
  }
  requireFloat(down);
  requireFloat(up);
  const { name, isEmbedding, interleavedHeads, expertLayer } = module;
  const scales = scalesFor(alpha, up.shape.at(-1) ?? 0);
  if (expertLayer !== undefined) {
    const experts = expertFactors(down, up, problems);
    return experts.map((delta, index) => ({
      name: `${name}.${index}.${expertLayer}`,
      kind: "linear",
      delta,
      ...scales,
    }));
  }
  if (!hasDimensions([down, up], [2, 2], problems)) return [];
  const [, rank = 0] = up.shape;
  const [rows = 0, columns = 0] = down.shape;
  if (!hasShape(down, isEmbedding ? [rows, rank] : [rank, columns], problems)) return [];
  return [
    {
      name,
      kind: isEmbedding ? "embedding" : "linear",
      delta: { kind: "lora", down, up, ...(isEmbedding ? { transposed: "down" as const } : {}) },
      ...scales,
      ...(interleavedHeads === undefined ? {} : { interleavedHeads }),
    },
  ];
}

function scalesFor(alpha: number, rank: number): Pick<AdapterModule, "rank" | "alpha" | "scale"> {
  if (alpha === 0) return { rank, alpha: rank, scale: 1 };
  return { rank, alpha, scale: effectiveScale("lora", alpha, rank) };
}

/** lora_a [E, rank, in], lora_b [E, out, rank] → the factors of each expert. */
function expertFactors(down: TensorData, up: TensorData, problems: Problems): LoraDelta[] {
  if (!hasDimensions([down, up], [3, 3], problems)) return [];
  const [count = 0, rank = 0, inputs = 0] = down.shape;
  if (!hasShape(up, [count, up.shape[1] ?? 0, rank], problems) || !hasShape(down, [count, rank, inputs], problems))
    return [];
  const partOf = (tensor: TensorData, index: number) => ({
    ...sliceTensor(tensor, index, 1),
    shape: tensor.shape.slice(1),
  });
  return Array.from({ length: count }, (_, index) => ({
    kind: "lora",
    down: partOf(down, index),
    up: partOf(up, index),
  }));
}
