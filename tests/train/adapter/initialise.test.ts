/** Where adapters start: the distributions and identities of PEFT's initialisations. */

import { describe, expect, it } from "vitest";
import { fillNormal, philoxKey } from "../../../src/core/random.ts";
import { INITIALISATIONS, type InitialisationName } from "../../../src/train/adapter/initialisations.ts";
import { initialiseFactors, type ModuleToInitialise } from "../../../src/train/adapter/initialise.ts";

const [OUT, IN, RANK, SCALE] = [24, 40, 8, 0.5];
const weight = new Float32Array(OUT * IN);
fillNormal(weight, philoxKey(1, "weight"), 0);

const MODULE: ModuleToInitialise = {
  name: "layer",
  kind: "linear",
  inputs: IN,
  outputs: OUT,
  rank: RANK,
  scale: SCALE,
  weight: () => weight.slice(),
};

const factors = (init: InitialisationName, more: Partial<ModuleToInitialise> = {}, seed = 42) =>
  initialiseFactors(init, { ...MODULE, ...more }, seed);

/** scale · up · down */
function product({ down, up }: { down: Float32Array; up: Float32Array }, rank = RANK): Float64Array {
  return Float64Array.from({ length: OUT * IN }, (_, index) => {
    const [row, column] = [Math.floor(index / IN), index % IN];
    let sum = 0;
    for (let inner = 0; inner < rank; inner++) sum += (up[row * rank + inner] ?? 0) * (down[inner * IN + column] ?? 0);
    return SCALE * sum;
  });
}

const norm = (values: Iterable<number>) => Math.hypot(...values);
const deviation = (values: Float32Array) => norm(values) / Math.sqrt(values.length);

describe.each(Object.keys(INITIALISATIONS) as InitialisationName[])("%s", (init) => {
  it("depends on the seed and the name, and on nothing else", () => {
    expect(factors(init)).toEqual(factors(init));
    if (init === "pissa" || init === "olora") return;
    expect(factors(init, {}, 43).down).not.toEqual(factors(init).down);
    expect(factors(init, { name: "other" }).down).not.toEqual(factors(init).down);
  });
});

describe("initialiseFactors", () => {
  it("draws down from ±1/√in with variance 1/(3·in), whatever the rank, and lets up be 0", () => {
    const { down, up } = factors("default", { rank: 512 });
    expect(Math.max(...down.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(IN));
    expect(deviation(down)).toBeCloseTo(1 / Math.sqrt(3 * IN), 3);
    expect(norm(up)).toBe(0);
  });

  it("draws down with deviation 1/rank for gaussian", () => {
    expect(deviation(factors("gaussian", { rank: 256 }).down) * 256).toBeCloseTo(1, 1);
  });

  it("draws up from ±1/√rank for random", () => {
    const { up } = factors("random", { rank: 256 });
    expect(Math.max(...up.map(Math.abs))).toBeLessThanOrEqual(1 / 16);
    expect(deviation(up) * 16 * Math.sqrt(3)).toBeCloseTo(1, 1);
  });

  it("draws factors whose product is 0 for orthogonal", () => {
    const drawn = factors("orthogonal");
    expect(deviation(drawn.down)).toBeCloseTo(Math.sqrt(0.5) / 10, 2);
    expect(norm(product(drawn)) / (norm(drawn.down) * norm(drawn.up))).toBeLessThan(1e-6);
  });

  it("takes the leading singular directions for pissa, shared evenly", () => {
    const drawn = factors("pissa");
    const rest = weight.map((value, index) => value - (product(drawn)[index] ?? 0));
    // The best approximation: what is left is orthogonal to it (Pythagoras), and smaller than without any other.
    expect(norm(rest) ** 2 + norm(product(drawn)) ** 2).toBeCloseTo(norm(weight) ** 2, 3);
    expect(norm(drawn.down)).toBeCloseTo(norm(drawn.up), 4);
    expect(norm(product(drawn))).toBeGreaterThan(norm(product(factors("olora"))) / SCALE);
    expect(drawn.leavesResidual).toBe(true);
  });

  it("takes whole weights out for a rank as large as the layer", () => {
    const drawn = factors("pissa", { rank: 32 });
    const error = product(drawn, 32).map((value, index) => value - (weight[index] ?? 0));
    expect(norm(error) / norm(weight)).toBeLessThan(1e-6);
  });

  it("lets embeddings start with down = 0 and up ~ N(0, 1), whatever the name", () => {
    for (const init of ["default", "gaussian", "orthogonal", "pissa", "olora"] as const) {
      const { down, up, leavesResidual } = factors(init, { kind: "embedding", rank: 64 });
      expect([norm(down), leavesResidual]).toEqual([0, false]);
      expect(deviation(up)).toBeCloseTo(1, 1);
    }
  });

  it("refuses an odd rank for orthogonal", () => {
    expect(() => factors("orthogonal", { rank: 3 })).toThrow(
      /"layer": the orthogonal initialisation needs an even rank, got 3/,
    );
  });
});
