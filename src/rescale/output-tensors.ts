/**
 * The tensors of the new weights file: each as it was, multiplied, or padded with zeros to a higher rank.
 *
 * down [rank, in …] grows by rows, up [out, rank …] by columns; zeros meet zeros, so the product stays what it was, bit
 * for bit. Stacked experts: down [E·rank, in] grows inside each expert; up [out, rank·E] by whole columns where it is
 * rank-major, inside each expert where it is expert-major.
 */

import type { ExpertOrder } from "../adapters/adapter.ts";
import { DTYPE_BITS } from "../core/dtype.ts";
import { elementCount } from "../core/shape.ts";
import type { HeaderEntry } from "../formats/safetensors/writer.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { ModulePlan, RescalePlan } from "./plan.ts";

/** Each `blockBytes` of the source are followed by `padBytes` of zeros. */
export interface Padding {
  readonly blockBytes: number;
  readonly padBytes: number;
}

export interface OutputTensor extends HeaderEntry {
  readonly source: TensorData;
  readonly factor: number;
  readonly padding?: Padding;
}

/** In the order of the tensors given, which stays that of the file. */
export function outputTensors(
  tensors: Iterable<TensorData>,
  plan: RescalePlan,
  expertOrder: ExpertOrder,
): OutputTensor[] {
  const changes = new Map(plan.modules.flatMap((module) => changesOf(module, expertOrder)));
  return Array.from(tensors, (source) => {
    const { name, dtype, shape } = source;
    return { name, dtype, shape, source, factor: 1, ...changes.get(name)?.(source) };
  });
}

type Change = (stored: TensorData) => Partial<OutputTensor>;

function changesOf({ module, rank, factor }: ModulePlan, expertOrder: ExpertOrder): [string, Change][] {
  const { delta, bias } = module;
  if (delta.kind !== "lora") return [];
  const changes: [string, Change][] = [[delta.up.name, () => ({ factor })]];
  if (bias !== undefined) changes.push([bias.name, () => ({ factor })]);
  if (rank === module.rank) return changes;

  const [downRows = 0] = delta.down.shape;
  const experts = downRows / module.rank;
  const upBlocks = expertOrder === "expert-major" ? experts : 1;
  return [
    ...changes,
    [delta.down.name, (stored) => grow(stored, 0, experts, rank / module.rank)],
    [
      delta.up.name,
      (stored) => ({ factor, ...grow(stored, 1, (stored.shape[0] ?? 0) * upBlocks, rank / module.rank) }),
    ],
  ];
}

/** One dimension times `ratio`, in so many equal blocks of the tensor's bytes. */
function grow(stored: TensorData, axis: 0 | 1, blocks: number, ratio: number): Partial<OutputTensor> {
  const shape = stored.shape.map((size, index) => (index === axis ? Math.round(size * ratio) : size));
  const grown = ((elementCount(shape) ?? 0) * DTYPE_BITS[stored.dtype]) / 8;
  const blockBytes = stored.byteLength / blocks;
  return { shape, padding: { blockBytes, padBytes: grown / blocks - blockBytes } };
}
