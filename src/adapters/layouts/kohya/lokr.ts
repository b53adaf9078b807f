/**
 * LoKr: kron(w1, w2), each whole or a product of two factors; lokr_t2 [rank, rank, kernel …] with lokr_w2_a [rank, out],
 * lokr_w2_b [rank, in] is the Tucker form of w2. Scale alpha / rank, and 1 where both are whole, whatever alpha says: there
 * is no rank then (LyCORIS `modules/lokr.py`; PEFT differs).
 */

import { formatShape } from "../../../core/shape.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import { effectiveScale } from "../../scale.ts";
import { hasDimensions, hasShape } from "../peft/factor-shapes.ts";
import type { Problems } from "../peft/problems.ts";
import { readAlpha } from "./alpha.ts";
import type { AlgorithmReader, Factors } from "./modules.ts";

type Side = readonly [TensorData] | readonly [TensorData, TensorData];

export const readLokr: AlgorithmReader = (name, factors, problems) => {
  const core = factors.get("lokr_t2");
  const w1 = sideOf(name, factors, "lokr_w1", problems);
  const w2 = sideOf(name, factors, "lokr_w2", problems);
  if (w1 === undefined || w2 === undefined) return undefined;
  if (!hasDimensions([...w1, ...w2], [2, 5], problems)) return undefined;
  const ranks = [rankOf(w1, false, problems), rankOf(w2, core !== undefined, problems)];
  if (ranks.includes(undefined)) return undefined;
  const [rank = 0, second] = ranks.filter((size) => size !== 0 && size !== undefined);
  if (second !== undefined && second !== rank) {
    problems.add("RANK_MISMATCH", name, `the factors of lokr_w1 have rank ${rank}, those of lokr_w2 ${second}`);
    return undefined;
  }
  if (core !== undefined) {
    if (w2.length === 1) {
      problems.add("ADAPTER_INCOMPLETE", name, "expected lokr_w2_a and lokr_w2_b beside lokr_t2");
      return undefined;
    }
    if (!hasDimensions([core], [3, 5], problems)) return undefined;
    if (!hasShape(core, [rank, rank, ...core.shape.slice(2)], problems)) return undefined;
  }
  const whole = rank === 0;
  const alpha = whole ? 0 : readAlpha(factors.get("alpha"), rank, problems);
  if (alpha === undefined) return undefined;
  return {
    name,
    kind: core !== undefined || w2.some(({ shape }) => shape.length > 2) ? "conv" : "linear",
    delta: { kind: "lokr", w1, w2, ...(core && { t2: core }) },
    rank,
    alpha,
    scale: whole ? 1 : effectiveScale("lora", alpha, rank),
  };
};

function sideOf(name: string, factors: Factors, side: "lokr_w1" | "lokr_w2", problems: Problems): Side | undefined {
  const [whole, a, b] = [factors.get(side), factors.get(`${side}_a`), factors.get(`${side}_b`)];
  if (whole !== undefined && a === undefined && b === undefined) return [whole];
  if (whole === undefined && a !== undefined && b !== undefined) return [a, b];
  const present = [...factors.keys()].join(", ");
  problems.add("ADAPTER_INCOMPLETE", name, `expected ${side}, or ${side}_a and ${side}_b, got ${present}`);
  return undefined;
}

/** Rank of a product, 0 of a whole matrix, `undefined` after a problem was added. */
function rankOf([a, b]: Side, rankFirst: boolean, problems: Problems): number | undefined {
  if (b === undefined) return 0;
  const [rank = 0] = b.shape;
  const found = a.shape[rankFirst ? 0 : 1];
  if (a.shape.length === 2 && b.shape.length === 2 && found === rank) return rank;
  problems.add(
    "ADAPTER_MISMATCH",
    b.name,
    `expected matrices of one rank, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
  );
  return undefined;
}
