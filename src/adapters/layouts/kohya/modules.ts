/**
 * The tensors of one module, as sd-scripts and LyCORIS write them, → adapter modules.
 *
 * Each algorithm has factors of its own, so the names decide which it is. A module can have two parts: a change of its
 * weight and one of its bias. Scale alpha / rank; rsLoRA of LyCORIS stores an alpha that makes this right.
 */

import { sameShape } from "../../../core/shape.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { AdapterModule } from "../../adapter.ts";
import { requireFloat } from "../peft/factor-shapes.ts";
import type { Problems } from "../peft/problems.ts";
import { readNumber } from "./alpha.ts";
import type { LycorisFactor } from "./factors.ts";
import { readLoha } from "./loha.ts";
import { readLokr } from "./lokr.ts";
import { readLora } from "./lora.ts";
import { readOft } from "./oft.ts";

export type Factors = ReadonlyMap<LycorisFactor, TensorData>;

/** Reads the change of a weight; `undefined` after a problem was added. */
export type AlgorithmReader = (name: string, factors: Factors, problems: Problems) => AdapterModule | undefined;

interface Algorithm {
  readonly name: string;
  /** One of these shows the algorithm. */
  readonly signs: readonly LycorisFactor[];
  /** May stand beside them. */
  readonly others: readonly LycorisFactor[];
  readonly read: AlgorithmReader;
}

const ALGORITHMS: readonly Algorithm[] = [
  {
    name: "LoRA",
    signs: ["lora_down.weight", "lora_up.weight", "lora_mid.weight"],
    others: ["alpha", "dora_scale", "lora_up.bias"],
    read: readLora,
  },
  {
    name: "LoHa",
    signs: ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"],
    others: ["alpha"],
    read: readLoha,
  },
  {
    name: "LoKr",
    signs: ["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"],
    others: ["alpha"],
    read: readLokr,
  },
  { name: "full", signs: ["diff"], others: ["alpha"], read: fullReader("diff") },
  { name: "norm", signs: ["w_norm"], others: ["alpha"], read: fullReader("w_norm") },
  { name: "OFT", signs: ["oft_blocks", "rescale"], others: ["alpha"], read: readOft },
  { name: "IA3", signs: ["weight", "on_input"], others: [], read: readIa3 },
];

const BIASES = ["diff_b", "b_norm"] as const;

/** @throws {UnsupportedError} UNSUPPORTED_DTYPE for quantised factors */
export function readLycorisModule(name: string, factors: Factors, problems: Problems): AdapterModule[] {
  const found = ALGORITHMS.filter(({ signs }) => signs.some((sign) => factors.has(sign)));
  const [algorithm, other] = found;
  const biases = BIASES.filter((bias) => factors.has(bias));
  const present = [...factors.keys()].join(", ");
  if (other !== undefined || biases.length > 1) {
    problems.add("ADAPTER_MISMATCH", name, `expected the tensors of one algorithm, got ${present}`);
    return [];
  }
  if (algorithm === undefined && biases.length === 0) {
    problems.add("ADAPTER_INCOMPLETE", name, `expected factors beside ${present}`);
    return [];
  }
  const allowed: readonly LycorisFactor[] = [
    ...(algorithm?.signs ?? []),
    ...(algorithm?.others ?? ["alpha"]),
    ...BIASES,
  ];
  const foreign = [...factors.keys()].filter((factor) => !allowed.includes(factor));
  if (foreign.length > 0) {
    const what = `${foreign.join(", ")} beside ${algorithm?.name ?? "a bias"} is not supported`;
    problems.add("ADAPTER_MISMATCH", name, what);
    return [];
  }
  for (const [factor, tensor] of factors) if (factor !== "alpha" && factor !== "on_input") requireFloat(tensor);
  const weight = algorithm?.read(name, factors, problems);
  return [
    ...(weight === undefined ? [] : [weight]),
    ...biases.flatMap((bias) => {
      const values = factors.get(bias);
      return values === undefined ? [] : [{ ...fullChange(name, values), parameter: "bias" }];
    }),
  ];
}

function fullReader(factor: "diff" | "w_norm"): AlgorithmReader {
  return (name, factors) => {
    const values = factors.get(factor);
    return values && fullChange(name, values);
  };
}

/** A change that is stored whole: alpha has no part in it. */
function fullChange(name: string, values: TensorData): AdapterModule {
  return { name, kind: "linear", delta: { kind: "full", values }, rank: 0, alpha: 0, scale: 1 };
}

function readIa3(name: string, factors: Factors, problems: Problems): AdapterModule | undefined {
  const [vector, onInput] = [factors.get("weight"), factors.get("on_input")];
  if (vector === undefined || onInput === undefined) {
    problems.add("ADAPTER_INCOMPLETE", name, `expected weight and on_input, got ${[...factors.keys()].join(", ")}`);
    return undefined;
  }
  const feedforward = readNumber(onInput, problems);
  if (feedforward === undefined) return undefined;
  const long = vector.shape.filter((size) => size !== 1);
  if (long.length > 1 || sameShape(vector.shape, [])) {
    problems.add("ADAPTER_MISMATCH", vector.name, "expected one number for each input or output");
    return undefined;
  }
  const delta = { kind: "ia3" as const, vector, feedforward: feedforward !== 0, aboutOne: true as const };
  return { name, kind: "linear", delta, rank: 0, alpha: 0, scale: 1 };
}
