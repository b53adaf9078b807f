/**
 * AdaLoRA: delta = scale · lora_B · diag(lora_E) · lora_A, bare tensors lora_A [rank, in], lora_B [out, rank], lora_E
 * [rank, 1]; scale = (alpha or rank) / (ranknum + 1e-5), ranknum being the rank before allocation (PEFT 0.21.2 `adalora`).
 */

import { decodeElement } from "../../../core/cast/float-codec.ts";
import { readTensorBytes } from "../../../formats/byte-source.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import { floatDtypeOf } from "../../load-matrix.ts";
import { adaLoraScale } from "../../scale.ts";
import { hasDimensions, hasLength, hasRank, takeFactors } from "./factor-shapes.ts";
import type { ModuleReader } from "./module-reader.ts";

export const readAdaLora: ModuleReader = (entry, { config, problems }) => {
  const { module } = entry.place;
  const rank = config.allocatedRanks.get(module) ?? config.rank;
  const taken = takeFactors(entry, ["lora_A", "lora_B", "lora_E"], ["ranknum"], problems);
  if (taken === undefined) return undefined;
  const { lora_A: down, lora_B: up, lora_E: diagonal, ranknum } = taken;
  // Allocation may leave a module nothing: its factors are empty and so is its delta.
  if (rank === 0 && [down, up, diagonal].every(({ byteLength }) => byteLength === 0)) return "empty";
  if (!hasDimensions([down, up, diagonal], [2, 2], problems)) return undefined;
  const [downRank = 0] = down.shape;
  const [, upRank = 0] = up.shape;
  if (!hasRank(module, rank, downRank, down.name, problems)) return undefined;
  if (!hasRank(module, rank, upRank, up.name, problems)) return undefined;
  if (!hasLength(diagonal, rank, problems)) return undefined;
  if (ranknum !== undefined && !hasLength(ranknum, 1, problems)) return undefined;
  const rankNumber = ranknum === undefined ? config.rank : readNumber(ranknum);
  if (!(rankNumber > 0)) {
    problems.add("ADAPTER_MISMATCH", ranknum?.name ?? module, `expected a rank above 0, got ${rankNumber}`);
    return undefined;
  }
  return {
    name: module,
    kind: "linear",
    delta: { kind: "lora", down, up, diagonal },
    rank,
    alpha: config.alpha,
    scale: adaLoraScale(config.alpha, rank, rankNumber),
  };
};

/** The number in a tensor of one element. */
function readNumber(tensor: TensorData): number {
  return decodeElement(floatDtypeOf(tensor), readTensorBytes(tensor), 0);
}
