/**
 * LoHa: delta = scale · (w1a · w1b) ∘ (w2a · w2b), bare tensors hada_w1_a [out, rank], hada_w1_b [rank, in · kernel]; of
 * convolutions with use_effective_conv2d the Tucker form, hada_w1_a [rank, out], hada_w1_b [rank, in], hada_t1 [rank, rank,
 * kernel …]. Scale alpha / rank (PEFT 0.21.2 `loha/layer.py`).
 */

import type { TensorData } from "../../../formats/tensor-store.ts";
import { effectiveScale } from "../../scale.ts";
import { hasDimensions, hasRank, hasShape, takeFactors } from "./factor-shapes.ts";
import { type ModuleReader, rankAndAlpha } from "./module-reader.ts";

export const readLoha: ModuleReader = (entry, { config, problems }) => {
  const { module, owner } = entry.place;
  const { rank, alpha } = rankAndAlpha(config, owner);
  const tucker = entry.factors.has("hada_t1") || entry.factors.has("hada_t2");
  const taken = takeFactors(
    entry,
    ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", ...(tucker ? (["hada_t1", "hada_t2"] as const) : [])],
    ["hada_t1", "hada_t2"],
    problems,
  );
  if (taken === undefined) return undefined;
  const { hada_w1_a: w1a, hada_w1_b: w1b, hada_w2_a: w2a, hada_w2_b: w2b, hada_t1: t1, hada_t2: t2 } = taken;
  if (!hasDimensions([w1a, w1b, w2a, w2b], [2, 2], problems)) return undefined;
  const [actual = 0, inputs = 0] = w1b.shape;
  const outputs = w1a.shape[tucker ? 1 : 0] ?? 0;
  const firstShape = tucker ? [rank, outputs] : [outputs, rank];
  const cores: readonly TensorData[] = [t1, t2].filter((core) => core !== undefined);
  const fits =
    hasRank(module, rank, actual, w1b.name, problems) &&
    hasShape(w1a, firstShape, problems) &&
    hasShape(w2a, firstShape, problems) &&
    hasShape(w2b, [rank, inputs], problems) &&
    hasDimensions(cores, [3, 5], problems) &&
    cores.every((core) => hasShape(core, [rank, rank, ...(t1?.shape.slice(2) ?? [])], problems));
  if (!fits) return undefined;
  return {
    name: module,
    kind: tucker ? "conv" : "linear",
    delta: { kind: "loha", w1a, w1b, w2a, w2b, ...(t1 && t2 ? { t1, t2 } : {}) },
    rank,
    alpha,
    scale: effectiveScale("lora", alpha, rank),
  };
};
