/** Made-up cells: losses and gradient norms by formula, so that a test knows what a report should say. */

import type { Convention } from "../../../src/adapters/adapter.ts";
import { effectiveScale } from "../../../src/adapters/scale.ts";
import { type Cell, cellName, planCells } from "../../../src/train/sweep/cell.ts";
import type { CellResult } from "../../../src/train/sweep/cell-result.ts";

export interface Behaviour {
  readonly loss: (cell: Cell, step: number) => number;
  readonly gradNorm: (cell: Cell, step: number) => number;
}

export interface Axes {
  readonly ranks: readonly number[];
  readonly seeds: readonly number[];
  readonly lrs?: readonly number[];
  readonly scalings?: readonly Convention[];
  readonly steps?: number;
}

const NAMES = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"];

export function makeCells({ loss, gradNorm }: Behaviour, axes: Axes): CellResult[] {
  const { ranks, seeds, lrs = [1e-3], scalings = ["lora", "rslora"], steps = 40 } = axes;
  return planCells({ ranks, seeds, lrs, scalings }).map((cell) => ({
    ...cell,
    folder: cellName(cell),
    diverged: null,
    startsPlain: true,
    modules: NAMES.map((name) => {
      const scale = effectiveScale(cell.scaling, 16, cell.rank);
      return { name, rank: cell.rank, alpha: 16, convention: cell.scaling, scale };
    }),
    steps: Array.from({ length: steps }, (_, index) => ({
      step: index + 1,
      loss: loss(cell, index + 1),
      gradNorm: gradNorm(cell, index + 1),
      learningRate: cell.lr,
      tokens: 1000,
      tokensPerSecond: 5000,
      moduleGradNorms: [gradNorm(cell, index + 1) / 2, gradNorm(cell, index + 1) / 3],
    })),
  }));
}

/** What the paper describes: LoRA's ranks alike and its norms ∝ 1/√rank, rsLoRA's ordered and its norms equal. */
export const AS_THE_PAPER_SAYS: Behaviour = {
  loss: ({ rank, scaling, seed }, step) =>
    2 + Math.exp(-step / 10) + 0.01 * seed - (scaling === "rslora" ? 0.1 * Math.log2(rank) : 0.001 * Math.log2(rank)),
  gradNorm: ({ rank, scaling }) => (scaling === "rslora" ? 2 : 4 / Math.sqrt(rank)),
};
