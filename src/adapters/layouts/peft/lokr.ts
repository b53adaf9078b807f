/**
 * LoKr: delta = scale · kron(w1, w2), bare tensors lokr_w1 or lokr_w1_a · lokr_w1_b, lokr_w2 or lokr_w2_a · lokr_w2_b; of
 * convolutions with use_effective_conv2d also lokr_t2 [rank, rank, kernel …] with lokr_w2_a [rank, out], lokr_w2_b [rank,
 * in]. Scale alpha / rank of the settings, whole factors or not (PEFT 0.21.2 `lokr/layer.py`; LyCORIS differs).
 */

import type { TensorData } from "../../../formats/tensor-store.ts";
import { effectiveScale } from "../../scale.ts";
import type { ModuleEntry } from "./entries.ts";
import { hasDimensions, hasRank, takeFactors } from "./factor-shapes.ts";
import type { Factor } from "./keys.ts";
import { type ModuleReader, rankAndAlpha } from "./module-reader.ts";
import type { Problems } from "./problems.ts";

export const readLokr: ModuleReader = (entry, { config, problems }) => {
  const { module, owner } = entry.place;
  const { rank, alpha } = rankAndAlpha(config, owner);
  const tucker = entry.factors.has("lokr_t2");
  const w1 = takeWhole(entry, "lokr_w1", ["lokr_w1_a", "lokr_w1_b"], false);
  const w2 = takeWhole(entry, "lokr_w2", ["lokr_w2_a", "lokr_w2_b"], tucker);
  const taken = takeFactors(entry, [...w1, ...w2, ...(tucker ? (["lokr_t2"] as const) : [])], [], problems);
  if (taken === undefined) return undefined;
  const first = factorsOf(taken, w1);
  const second = factorsOf(taken, w2);
  const t2 = taken.lokr_t2;
  if (!hasDimensions([...first, ...second], [2, 5], problems)) return undefined;
  if (t2 !== undefined && !hasDimensions([t2], [3, 5], problems)) return undefined;
  if (!productFits(module, first, rank, false, problems)) return undefined;
  if (!productFits(module, second, rank, tucker, problems)) return undefined;
  if (t2 !== undefined && !t2.shape.slice(0, 2).every((size) => hasRank(module, rank, size, t2.name, problems))) {
    return undefined;
  }
  const convolution = tucker || second.some(({ shape }) => shape.length > 2);
  return {
    name: module,
    kind: convolution ? "conv" : "linear",
    delta: { kind: "lokr", w1: first, w2: second, ...(t2 ? { t2 } : {}) },
    rank,
    alpha,
    scale: effectiveScale("lora", alpha, rank),
  };
};

/** Which of the two forms of a matrix the file has: whole, or as a product. */
function takeWhole<Whole extends Factor, Part extends Factor>(
  { factors }: ModuleEntry,
  whole: Whole,
  parts: readonly [Part, Part],
  needsParts: boolean,
): readonly (Whole | Part)[] {
  return !needsParts && !parts.some((part) => factors.has(part)) ? [whole] : parts;
}

function factorsOf(
  taken: Readonly<Partial<Record<Factor, TensorData>>>,
  names: readonly Factor[],
): readonly [TensorData] | readonly [TensorData, TensorData] {
  const [a, b] = names.map((name) => taken[name]);
  if (a === undefined) throw new TypeError("a factor was not taken");
  return b === undefined ? [a] : [a, b];
}

/** a [rows, rank] · b [rank, columns]; with a core tensor both have the rank first. */
function productFits(
  module: string,
  factors: readonly [TensorData] | readonly [TensorData, TensorData],
  rank: number,
  rankFirst: boolean,
  problems: Problems,
): boolean {
  const [a, b] = factors;
  if (b === undefined) return true;
  const [first = 0, second = 0] = a.shape;
  const [inner = 0] = b.shape;
  return (
    hasDimensions([a, b], [2, 2], problems) &&
    hasRank(module, rank, rankFirst ? first : second, a.name, problems) &&
    hasRank(module, rank, inner, b.name, problems)
  );
}
