/**
 * The tensors of the new weights file: each as it was, multiplied, or padded with zeros to a higher rank.
 *
 * Every factor is a tensor [outer, rank, inner] in C order, whichever of its dimensions holds the rank: down [rank, in …],
 * up [out, rank …], either of them turned, experts one after the other. Zeros meet zeros in the product, so the delta stays
 * what it was, bit for bit.
 */

import type { AdapterModule, ExpertOrder } from "../adapters/adapter.ts";
import { matrixOf } from "../adapters/matrix.ts";
import { blockOf, copyOf, type OutputTensor } from "../adapters/output/output-tensor.ts";
import { elementCount } from "../core/shape.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { ModulePlan } from "./plan.ts";

/** What becomes of one tensor. */
interface TensorChange {
  readonly factor: number;
  /** Where the rank grows. */
  readonly grows?: Growth;
}

/** In the order of the tensors given, which stays that of the file. */
export function changedTensors(
  tensors: Iterable<TensorData>,
  modules: readonly ModulePlan[],
  expertOrder: ExpertOrder,
): OutputTensor[] {
  const changes = new Map(
    modules.flatMap((plan) => changesOf(plan, expertOrder).map(([name, change]) => [name, { plan, change }] as const)),
  );
  return Array.from(tensors, (stored) => {
    const entry = changes.get(stored.name);
    return entry === undefined ? copyOf(stored) : changed(stored, entry.plan, entry.change);
  });
}

function changesOf({ module, factor, rank }: ModulePlan, expertOrder: ExpertOrder): [string, TensorChange][] {
  const { delta, bias } = module;
  if (delta.kind !== "lora") return [];
  const { up, down } = delta;
  const biasChange: [string, TensorChange][] = bias === undefined ? [] : [[bias.name, { factor }]];
  if (rank === module.rank) return [[up.name, { factor }], ...biasChange];
  return [
    [up.name, { factor, grows: upGrowth(module, expertOrder) }],
    [down.name, { factor: 1, grows: delta.transposed === undefined ? { axis: 0, inner: innerOf(down) } : LAST }],
    ...biasChange,
  ];
}

/** The dimension that holds the rank, and the elements behind each of its steps. */
interface Growth {
  readonly axis: 0 | 1;
  readonly inner: number;
}

const LAST: Growth = { axis: 1, inner: 1 };

/** Rank-major experts stand side by side in each step of the rank. */
function upGrowth({ delta, rank, kind }: AdapterModule, expertOrder: ExpertOrder): Growth {
  if (delta.kind !== "lora") return LAST;
  const { up, transposed } = delta;
  if (transposed === "both") return { axis: 0, inner: innerOf(up) };
  return kind === "experts" && expertOrder === "rank-major" ? { axis: 1, inner: (up.shape[1] ?? 0) / rank } : LAST;
}

/** Elements behind the first dimension. */
function innerOf({ shape }: TensorData): number {
  return elementCount(shape.slice(1)) ?? 0;
}

function changed(stored: TensorData, { module, rank }: ModulePlan, { factor, grows }: TensorChange): OutputTensor {
  const { name, dtype, shape } = stored;
  const elements = elementCount(shape) ?? 0;
  const rowElements = grows === undefined ? elements : module.rank * grows.inner;
  const block = blockOf(matrixOf(stored, elements / rowElements, rowElements), { factor });
  if (grows === undefined) return { name, dtype, shape, columns: rowElements, blocks: [block] };
  const grown = shape.map((size, axis) => (axis === grows.axis ? (size / module.rank) * rank : size));
  return { name, dtype, shape: grown, columns: rank * grows.inner, blocks: [block] };
}
