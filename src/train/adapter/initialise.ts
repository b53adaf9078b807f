/**
 * The values that an adapter starts from, as PEFT 0.21.2 draws them (`tuners/lora/layer.py`), from counter-based random
 * numbers: a factor depends on the seed and the module's name alone, whatever else is trained.
 *
 * | init       | down [rank, in]          | up [out, rank]  | the base                        |
 * | default    | U(±1/√in)                | 0               |                                 |
 * | random     | U(±1/√in)                | U(±1/√rank)     | (init_lora_weights=False)       |
 * | gaussian   | N(0, 1/rank²)            | 0               |                                 |
 * | orthogonal | X·Q[even]ᵀ/10            | Y·Q[odd]/10     | up·down = 0 by orthogonal rows  |
 * | pissa      | √(S_r/s)·V_rᵀ            | U_r·√(S_r/s)    | W − s·up·down                   |
 * | olora      | R[:rank] of W = QR       | Q[:, :rank]     | W − s·up·down                   |
 *
 * Embeddings start from down = 0 and up ~ N(0, 1) under every one of them, `random` excepted (both normal).
 */

import { UsageError } from "../../core/errors.ts";
import { leadingQr } from "../../core/linear-algebra/householder-qr.ts";
import { oloraFactors, pissaFactors } from "../../core/linear-algebra/initialisation.ts";
import { fillNormal, fillUniform, philoxKey } from "../../core/random.ts";
import { balanceFactors } from "./balance-factors.ts";
import { type InitialisationName, leavesResidual } from "./initialisations.ts";

export interface ModuleToInitialise {
  readonly name: string;
  readonly kind: "linear" | "embedding";
  readonly inputs: number;
  readonly outputs: number;
  readonly rank: number;
  readonly scale: number;
  /** The base's weight as [out, in], in a copy of its own. */
  readonly weight: () => Float32Array;
}

export interface InitialFactors {
  /** [rank, in] */
  readonly down: Float32Array;
  /** [out, rank] */
  readonly up: Float32Array;
  /** Whether training starts from W − scale · up · down instead of W. */
  readonly leavesResidual: boolean;
}

/** @throws {UsageError} for orthogonal with an odd rank */
export function initialiseFactors(init: InitialisationName, module: ModuleToInitialise, seed: number): InitialFactors {
  const { down, up } = module.kind === "embedding" ? embedding(init, module, seed) : LINEAR[init](module, seed);
  return { down, up, leavesResidual: leavesResidual(init, module.kind) };
}

type Factors = Pick<InitialFactors, "down" | "up">;

const LINEAR: Readonly<Record<InitialisationName, (module: ModuleToInitialise, seed: number) => Factors>> = {
  default: (module, seed) => ({ down: uniformDown(module, seed), up: zeroUp(module) }),
  random: (module, seed) => ({
    down: uniformDown(module, seed),
    up: uniform(module.outputs * module.rank, 1 / Math.sqrt(module.rank), keyOf(module, "up", seed)),
  }),
  gaussian: (module, seed) => ({
    down: normal(module.rank * module.inputs, 1 / module.rank, keyOf(module, "down", seed)),
    up: zeroUp(module),
  }),
  orthogonal,
  pissa: ({ weight, outputs, inputs, rank, scale }) => {
    const { left, right } = pissaFactors(Float64Array.from(weight()), outputs, inputs, rank);
    return balanceFactors({ left, right, outputs, inputs, rank, scale });
  },
  olora: ({ weight, outputs, inputs, rank }) => {
    const { left, right } = oloraFactors(Float64Array.from(weight()), outputs, inputs, rank);
    return { down: Float32Array.from(right), up: Float32Array.from(left) };
  },
};

function embedding(init: InitialisationName, module: ModuleToInitialise, seed: number): Factors {
  const count = module.rank * module.inputs;
  return {
    down: init === "random" ? normal(count, 1, keyOf(module, "down", seed)) : new Float32Array(count),
    up: normal(module.outputs * module.rank, 1, keyOf(module, "up", seed)),
  };
}

/** Rows of an orthogonal [rank, rank], one after the other to each factor, so that their product starts as 0. */
function orthogonal(module: ModuleToInitialise, seed: number): Factors {
  const { name, rank, inputs, outputs } = module;
  if (rank % 2 !== 0) {
    throw new UsageError(`the orthogonal initialisation needs an even rank, got ${rank}`, { subject: name });
  }
  const square = normal(rank * rank, 1, keyOf(module, "basis", seed));
  const { left: basis } = leadingQr(Float64Array.from(square), rank, rank, rank);
  const half = rank / 2;
  const [x, y] = [
    normal(inputs * half, 1, keyOf(module, "down", seed)),
    normal(outputs * half, 1, keyOf(module, "up", seed)),
  ];
  const down = new Float32Array(rank * inputs);
  const up = new Float32Array(outputs * rank);
  const combine = (factor: Float32Array, line: number, column: number, odd: number) => {
    let sum = 0;
    for (let inner = 0; inner < half; inner++) {
      sum += (factor[line * half + inner] ?? 0) * (basis[(2 * inner + odd) * rank + column] ?? 0);
    }
    return sum / 10;
  };
  for (let column = 0; column < rank; column++) {
    for (let input = 0; input < inputs; input++) down[column * inputs + input] = combine(x, input, column, 0);
    for (let output = 0; output < outputs; output++) up[output * rank + column] = combine(y, output, column, 1);
  }
  return { down, up };
}

function uniformDown(module: ModuleToInitialise, seed: number): Float32Array {
  return uniform(module.rank * module.inputs, 1 / Math.sqrt(module.inputs), keyOf(module, "down", seed));
}

function zeroUp({ outputs, rank }: ModuleToInitialise): Float32Array {
  return new Float32Array(outputs * rank);
}

type Key = ReturnType<typeof philoxKey>;

function keyOf({ name }: ModuleToInitialise, part: string, seed: number): Key {
  return philoxKey(seed, `initialise ${part} ${name}`);
}

/** U(−bound, bound) */
function uniform(count: number, bound: number, key: Key): Float32Array {
  const values = new Float32Array(count);
  fillUniform(values, key, 0);
  return values.map((value) => (2 * value - 1) * bound);
}

/** N(0, deviation²) */
function normal(count: number, deviation: number, key: Key): Float32Array {
  const values = new Float32Array(count);
  fillNormal(values, key, 0);
  return values.map((value) => value * deviation);
}
