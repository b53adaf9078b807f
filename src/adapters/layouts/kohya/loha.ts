/**
 * LoHa: (w1_a · w1_b) ∘ (w2_a · w2_b), wX_a [out, rank], wX_b [rank, in · kernel]; with cores t1, t2 [rank, rank, kernel …]
 * the Tucker form, wX_a [rank, out], wX_b [rank, in] (LyCORIS `modules/loha.py`).
 */

import type { TensorData } from "../../../formats/tensor-store.ts";
import { effectiveScale } from "../../scale.ts";
import { hasDimensions, hasShape } from "../peft/factor-shapes.ts";
import { readAlpha } from "./alpha.ts";
import type { AlgorithmReader } from "./modules.ts";

export const readLoha: AlgorithmReader = (name, factors, problems) => {
  const [w1a, w1b, w2a, w2b] = [
    factors.get("hada_w1_a"),
    factors.get("hada_w1_b"),
    factors.get("hada_w2_a"),
    factors.get("hada_w2_b"),
  ];
  const [t1, t2] = [factors.get("hada_t1"), factors.get("hada_t2")];
  if (!w1a || !w1b || !w2a || !w2b || (t1 === undefined) !== (t2 === undefined)) {
    const present = [...factors.keys()].join(", ");
    problems.add(
      "ADAPTER_INCOMPLETE",
      name,
      `expected hada_w1_a, hada_w1_b, hada_w2_a, hada_w2_b and both cores or none, got ${present}`,
    );
    return undefined;
  }
  if (!hasDimensions([w1a, w1b, w2a, w2b], [2, 2], problems)) return undefined;
  const [rank = 0, inputs = 0] = w1b.shape;
  const tucker = t1 !== undefined;
  const outputs = w1a.shape[tucker ? 1 : 0] ?? 0;
  const shape = tucker ? [rank, outputs] : [outputs, rank];
  const cores: readonly TensorData[] = [t1, t2].filter((core) => core !== undefined);
  const fits =
    hasShape(w1a, shape, problems) &&
    hasShape(w2a, shape, problems) &&
    hasShape(w2b, [rank, inputs], problems) &&
    hasDimensions(cores, [3, 5], problems) &&
    cores.every((core) => hasShape(core, [rank, rank, ...(t1?.shape.slice(2) ?? [])], problems));
  const alpha = fits ? readAlpha(factors.get("alpha"), rank, problems) : undefined;
  if (alpha === undefined) return undefined;
  return {
    name,
    kind: tucker ? "conv" : "linear",
    delta: { kind: "loha", w1a, w1b, w2a, w2b, ...(t1 && t2 ? { t1, t2 } : {}) },
    rank,
    alpha,
    scale: effectiveScale("lora", alpha, rank),
  };
};
