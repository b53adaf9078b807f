/**
 * LoRA as sd-scripts and LyCORIS store it: lora_down [rank, in, kernel …], lora_up [out, rank, 1 …], with lora_mid the Tucker
 * core, dora_scale the norms of outputs [out, 1 …] or inputs [1, in …].
 *
 * Layers that are joined here and apart in the adapter: one shared `down` where all parts have the same, else the parts'
 * `down` on top of each other and their `up` as blocks on the diagonal, which is exact.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { elementCount } from "../../../core/shape.ts";
import type { AdapterModule } from "../../adapter.ts";
import { type LoraFactors, loraFactors, upBlocks } from "../../output/lora-factors.ts";
import {
  type Block,
  blockOf,
  copyOf,
  inF32,
  type OutputTensor,
  stacked,
  tensorOfView,
} from "../../output/output-tensor.ts";
import { sameNumbers } from "../../same-numbers.ts";
import type { FlatLayer } from "./flat-naming.ts";

export interface WrittenLora {
  readonly tensors: readonly OutputTensor[];
  readonly rank: number;
  readonly scale: number;
  /** What the scales of the parts were folded with. */
  readonly factors: readonly number[];
}

export function writeLora(name: string, module: AdapterModule): WrittenLora {
  const { delta, bias, magnitude, rank, scale } = module;
  const factors = loraFactors(module, "kohya");
  // An alpha of 0 would mean something else to some tools.
  const factor = scale === 0 ? 0 : 1;
  const ones = factors.inputShape.slice(1).map(() => 1);
  const tensors =
    delta.kind === "lora" && delta.core !== undefined && delta.transposed === undefined
      ? [
          copyOf(delta.down, `${name}.lora_down.weight`),
          copyOf(delta.core, `${name}.lora_mid.weight`),
          tensorOfView(`${name}.lora_up.weight`, factors.up, factor, delta.up.shape),
        ]
      : [
          downOf(name, [factors], factors.inputShape),
          stacked(`${name}.lora_up.weight`, [factors.up.rows, rank, ...ones], rank, upBlocks(factors, factor)),
        ];
  if (bias !== undefined) tensors.push(copyOf(bias, `${name}.lora_up.bias`));
  if (magnitude !== undefined) {
    const size = elementCount(magnitude.shape) ?? 0;
    tensors.push(copyOf(magnitude, `${name}.dora_scale`, scaleShape(size, ones, module.magnitudeAxis)));
  }
  return { tensors, rank, scale: scale === 0 ? 1 : scale, factors: [factor] };
}

function scaleShape(size: number, ones: readonly number[], axis: AdapterModule["magnitudeAxis"]): number[] {
  return axis === "inputs" ? [1, size, ...ones] : [size, 1, ...ones];
}

/** @param layer several parts */
export function writeJoinedLora({ name, parts, shares }: FlatLayer): WrittenLora {
  const modules = parts.map((part) => part?.module);
  const present = modules.filter((module) => module !== undefined);
  const factorsOf = new Map(present.map((module) => [module, loraFactors(module, "kohya")]));
  const [first] = present;
  const [firstFactors] = factorsOf.values();
  if (first === undefined || firstFactors === undefined) throw new RangeError(`${name} has no parts`);
  assertJoinable(present, parts.length, name);
  const shared = present.length === parts.length && present.every((module) => sharesDown(first, module));
  const rank = shared ? first.rank : present.reduce((sum, module) => sum + module.rank, 0);
  const scale = present.find((module) => module.scale !== 0)?.scale ?? 1;
  const unit = firstFactors.up.rows / (shares[modules.indexOf(first)] ?? 1);
  const blocks: Block[] = [];
  let [row, column] = [0, 0];
  for (const [index, module] of modules.entries()) {
    const factors = module && factorsOf.get(module);
    const rows = (shares[index] ?? 0) * unit;
    if (module !== undefined && factors !== undefined) {
      if (factors.up.rows !== rows || factors.down.columns !== firstFactors.down.columns) {
        throw refusal(
          module.name,
          `expected ${rows} outputs and ${firstFactors.down.columns} inputs, as its neighbours have`,
        );
      }
      for (const block of upBlocks(factors, module.scale / scale)) {
        blocks.push({ ...block, rowStart: row, columnStart: column + block.columnStart });
      }
      if (!shared) column += module.rank;
    }
    row += rows;
  }
  const downs = shared ? [firstFactors] : [...factorsOf.values()];
  const magnitudes = present.flatMap(({ magnitude }) => (magnitude === undefined ? [] : [magnitude]));
  return {
    tensors: [
      downOf(name, downs, firstFactors.inputShape),
      stacked(`${name}.lora_up.weight`, [row, rank], rank, blocks),
      ...(magnitudes.length === 0 ? [] : [joinedMagnitudes(name, magnitudes)]),
    ],
    rank,
    scale,
    factors: present.map((module) => module.scale / scale),
  };
}

function downOf(name: string, factors: readonly LoraFactors[], inputShape: readonly number[]): OutputTensor {
  let rowStart = 0;
  const blocks = factors.map(({ down }) => {
    const block = blockOf(down, { rowStart });
    rowStart += down.rows;
    return block;
  });
  const columns = factors[0]?.down.columns ?? 0;
  const tensor = stacked(`${name}.lora_down.weight`, [rowStart, ...inputShape], columns, blocks);
  return factors.some(({ computed }) => computed) ? inF32(tensor) : tensor;
}

function joinedMagnitudes(name: string, magnitudes: readonly NonNullable<AdapterModule["magnitude"]>[]): OutputTensor {
  let rowStart = 0;
  const blocks = magnitudes.map((tensor) => {
    const rows = elementCount(tensor.shape) ?? 0;
    const block = blockOf({ tensor, rows, columns: 1, offset: 0, rowStride: 1, columnStride: 1 }, { rowStart });
    rowStart += rows;
    return block;
  });
  return stacked(`${name}.dora_scale`, [rowStart, 1], 1, blocks);
}

function sharesDown({ delta: a, rank }: AdapterModule, { delta: b, rank: other }: AdapterModule): boolean {
  return a.kind === "lora" && b.kind === "lora" && rank === other && (a.down === b.down || sameNumbers(a.down, b.down));
}

function assertJoinable(present: readonly AdapterModule[], count: number, name: string): void {
  const withMagnitude = present.filter(({ magnitude }) => magnitude !== undefined);
  if (
    withMagnitude.length > 0 &&
    (withMagnitude.length < count || present.some(({ magnitudeAxis }) => magnitudeAxis))
  ) {
    throw refusal(name, "DoRA on some parts of a joined layer only, or on its inputs, cannot be joined");
  }
  const biased = present.find(({ bias }) => bias !== undefined);
  if (biased !== undefined) throw refusal(biased.name, "a bias of a part of a joined layer cannot be joined");
}

function refusal(subject: string, problem: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject });
}
