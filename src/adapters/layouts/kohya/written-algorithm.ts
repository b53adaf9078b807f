/**
 * The other algorithms as LyCORIS stores them: LoHa, LoKr, IA3, whole changes of weights and biases.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { AdapterModule, Delta } from "../../adapter.ts";
import { matrixOf } from "../../matrix.ts";
import { blockOf, copyOf, type OutputTensor, stacked } from "../../output/output-tensor.ts";
import { storageView } from "../../resolve/placement.ts";
import { alphaTensor } from "./alpha.ts";

export interface WrittenAlgorithm {
  readonly tensors: readonly OutputTensor[];
  /** Of which alpha is a part; 0: the algorithm has none. */
  readonly rank: number;
  readonly scale: number;
  readonly factors: readonly number[];
}

type Kind = Exclude<Delta["kind"], "lora">;

const WRITERS: {
  [K in Kind]: (name: string, delta: Extract<Delta, { kind: K }>, module: AdapterModule) => WrittenAlgorithm;
} = {
  loha: (name, { w1a, w1b, w2a, w2b, t1, t2 }, { rank, scale }) => ({
    tensors: [
      copyOf(w1a, `${name}.hada_w1_a`),
      copyOf(w1b, `${name}.hada_w1_b`),
      copyOf(w2a, `${name}.hada_w2_a`),
      copyOf(w2b, `${name}.hada_w2_b`),
      ...(t1 === undefined ? [] : [copyOf(t1, `${name}.hada_t1`)]),
      ...(t2 === undefined ? [] : [copyOf(t2, `${name}.hada_t2`)]),
    ],
    rank,
    scale,
    factors: [1],
  }),
  lokr: (name, { w1, w2, t2 }, { rank, scale }) => {
    const whole = w1.length === 1 && w2.length === 1;
    // Two whole factors have no rank, and LyCORIS takes their scale for 1.
    const factor = whole ? scale : 1;
    const side = (parts: readonly TensorData[], own: string, by: number) =>
      parts.map((tensor, index) =>
        multiplied(tensor, parts.length === 1 ? `${name}.${own}` : `${name}.${own}_${index === 0 ? "a" : "b"}`, by),
      );
    return {
      tensors: [
        ...side(w1, "lokr_w1", factor),
        ...side(w2, "lokr_w2", 1),
        ...(t2 === undefined ? [] : [copyOf(t2, `${name}.lokr_t2`)]),
      ],
      rank: whole ? 0 : rank,
      scale: whole ? 1 : scale,
      factors: [factor],
    };
  },
  ia3: (name, { vector, feedforward, aboutOne }, module) => {
    if (aboutOne !== true) {
      throw new UnsupportedError("UNSUPPORTED_ADAPTER", "LyCORIS stores IA3 as 1 + vector, which would round", {
        subject: module.name,
      });
    }
    const bytes = Uint8Array.of(feedforward ? 1 : 0);
    const flag: TensorData = { name, dtype: "bool", shape: [], byteLength: 1, source: { kind: "memory", bytes } };
    return {
      tensors: [copyOf(vector, `${name}.weight`), copyOf(flag, `${name}.on_input`)],
      rank: 0,
      scale: 1,
      factors: [1],
    };
  },
  vera: (_, __, { name }) => {
    const problem = "kohya's files have no place for VeRA";
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject: name });
  },
  oft: (name, { blocks, constraint, rescale }) => ({
    tensors: [
      copyOf(blocks, `${name}.oft_blocks`),
      ...(rescale === undefined ? [] : [copyOf(rescale, `${name}.rescale`)]),
      alphaTensor(`${name}.alpha`, constraint),
    ],
    rank: 0,
    scale: 1,
    factors: [1],
  }),
  full: (name, { values }, { parameter }) => {
    const ofNorm = /\.[wb]_norm$/.test(values.name);
    const own = parameter === "bias" ? (ofNorm ? "b_norm" : "diff_b") : ofNorm ? "w_norm" : "diff";
    return { tensors: [copyOf(values, `${name}.${own}`)], rank: 0, scale: 1, factors: [1] };
  },
};

export function writeAlgorithm(name: string, module: AdapterModule): WrittenAlgorithm {
  const { delta } = module;
  switch (delta.kind) {
    case "loha":
      return WRITERS.loha(name, delta, module);
    case "lokr":
      return WRITERS.lokr(name, delta, module);
    case "ia3":
      return WRITERS.ia3(name, delta, module);
    case "vera":
      return WRITERS.vera(name, delta, module);
    case "oft":
      return WRITERS.oft(name, delta, module);
    case "full":
      return WRITERS.full(name, delta, module);
    case "lora":
      throw new RangeError(`${name} is LoRA`);
  }
}

function multiplied(tensor: TensorData, name: string, factor: number): OutputTensor {
  if (factor === 1) return copyOf(tensor, name);
  const [rows, columns] = storageView(tensor);
  return stacked(name, tensor.shape, columns, [blockOf(matrixOf(tensor, rows, columns), { factor })]);
}
