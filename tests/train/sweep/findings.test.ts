import { describe, expect, it } from "vitest";
import type { Verdict } from "../../../src/train/report/document.ts";
import type { CellResult } from "../../../src/train/sweep/cell-result.ts";
import { findClaims } from "../../../src/train/sweep/findings.ts";
import { FIRST_MOVES, fitExponent } from "../../../src/train/sweep/scaling-laws.ts";
import { AS_THE_PAPER_SAYS, makeCells } from "./cells.ts";

const RANKS = [4, 16, 64];

function verdicts(cells: readonly CellResult[]): Map<string, Verdict> {
  return new Map(findClaims(cells).map(({ claim, verdict }) => [claim, verdict]));
}

describe("claims", () => {
  it("hold where the cells do what the paper says, each with its numbers", () => {
    const findings = findClaims(makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1, 2, 3] }));
    expect(findings.map(({ verdict }) => verdict)).toEqual(findings.map(() => "holds"));
    const evidence = (words: string) => findings.find(({ claim }) => claim.includes(words))?.evidence;
    expect(evidence("first step falls")).toBe("2 (rank 4), 1 (rank 16), 0.5 (rank 64): rank^−0.5, expected −0.5 ± 0.1");
    expect(evidence("end alike")).toMatch(/: ranks differ by 0\.004, seeds by 0\.02$/);
    expect(evidence("next lower")).toMatch(/: 2 of 2 steps up in rank lower the loss$/);
    expect(evidence("keeps its order")).toBe("2 (rank 4), 2 (rank 16), 2 (rank 64): rank^0, largest to smallest 1");
  });

  it("fail where the cells do the opposite", () => {
    const swapped = makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1, 2, 3] }).map((cell): CellResult => {
      const scaling = cell.scaling === "lora" ? "rslora" : "lora";
      return { ...cell, scaling };
    });
    const failing = findClaims(swapped).filter(({ verdict }) => verdict === "fails");
    expect(failing.map(({ claim }) => claim)).toEqual([
      "LoRA: the gradient norm of the first step falls as 1/√rank",
      "rsLoRA: the gradient norm of the first step is the same for all ranks",
      "LoRA: ranks end alike, within what seeds make of one rank",
      "LoRA's ranks differ less than rsLoRA's",
      "LoRA: the mean gradient norm collapses as the rank grows",
      "rsLoRA: the mean gradient norm keeps its order of magnitude at every rank",
    ]);
  });

  it("stay open where one seed cannot tell chance from rank", () => {
    const cells = makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1] });
    expect(verdicts(cells).get("LoRA: ranks end alike, within what seeds make of one rank")).toBe("open");
  });

  it("stay open where a run diverged and they are about how far losses are apart", () => {
    const cells = makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1, 2], lrs: [1e-3, 1e-2] });
    const diverged = (hits: (cell: CellResult) => boolean) =>
      verdicts(cells.map((cell) => (hits(cell) ? { ...cell, diverged: "step 7: the loss is NaN" } : cell)));
    const one = diverged(
      ({ rank, seed, lr, scaling }) => scaling === "lora" && rank === 64 && seed === 1 && lr === 1e-2,
    );
    expect(one.get("LoRA: ranks end alike, within what seeds make of one rank at learning rate 0.01")).toBe("open");
    expect(one.get("LoRA's ranks differ less than rsLoRA's at learning rate 0.01")).toBe("open");
    expect(one.get("LoRA: ranks end alike, within what seeds make of one rank at learning rate 0.001")).toBe("holds");
    const high = diverged(({ rank, scaling }) => scaling === "rslora" && rank === 64);
    expect(high.get("rsLoRA: one learning rate is best for all ranks")).toBe("open");
    expect(high.get("rsLoRA: the highest rank ends below the lowest at learning rate 0.001")).toBe("fails");
  });

  it("are the law of the first step alone after one step", () => {
    const findings = findClaims(makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1], steps: 1 }));
    expect(findings.map(({ claim }) => claim)).toEqual([
      "LoRA: the gradient norm of the first step falls as 1/√rank",
      "rsLoRA: the gradient norm of the first step is the same for all ranks",
    ]);
  });

  it("leave the law of the first step out where up does not start as zero", () => {
    const cells = makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1], steps: 1 });
    expect(findClaims(cells.map((cell) => ({ ...cell, startsPlain: false })))).toEqual([]);
  });

  it("name the best learning rate of each rank where there are several", () => {
    const cells = makeCells(
      {
        ...AS_THE_PAPER_SAYS,
        // LoRA is best at 1e-3, rsLoRA at a rate that falls with the rank.
        loss: ({ rank, scaling, lr }) => Math.abs(Math.log10(lr) + 3 + (scaling === "rslora" && rank > 16 ? 1 : 0)),
      },
      { ranks: RANKS, seeds: [1], lrs: [1e-4, 1e-3] },
    );
    const findings = findClaims(cells);
    const best = (name: string) =>
      findings.find(({ claim }) => claim === `${name}: one learning rate is best for all ranks`);
    expect(best("LoRA")?.verdict).toBe("holds");
    expect(best("rsLoRA")).toMatchObject({
      verdict: "fails",
      evidence: "rank 4: 0.001 (loss 0), rank 16: 0.001 (loss 0), rank 64: 0.0001 (loss 0)",
    });
  });

  it("count a run that diverged as the worst", () => {
    const cells = makeCells(AS_THE_PAPER_SAYS, { ranks: RANKS, seeds: [1] }).map((cell) =>
      cell.rank === 64 && cell.scaling === "rslora" ? { ...cell, diverged: "loss is NaN at step 7" } : cell,
    );
    expect(verdicts(cells).get("rsLoRA: the highest rank ends below the lowest")).toBe("fails");
  });
});

describe("fitting", () => {
  it("finds the exponent of a power, and none where there is no line", () => {
    expect(fitExponent(RANKS.map((rank) => [rank, 3 * rank ** -0.7]))).toBeCloseTo(-0.7, 12);
    expect(fitExponent([[4, 1]])).toBeUndefined();
    expect(
      fitExponent([
        [4, 1],
        [8, 0],
      ]),
    ).toBeUndefined();
    expect(
      fitExponent([
        [4, 1],
        [8, Number.NaN],
      ]),
    ).toBeUndefined();
  });
});

describe("the first step", () => {
  it("moves outputs alike for all ranks under LoRA with Adam and under rsLoRA with SGD", () => {
    const moves = (scale: (rank: number) => number, optimizer: "adamw" | "sgd") =>
      [4, 64].map((rank) => FIRST_MOVES[optimizer](scale(rank), rank));
    const [lora, rslora] = [(rank: number) => 16 / rank, (rank: number) => 16 / Math.sqrt(rank)];
    expect(moves(lora, "adamw")).toEqual([16, 16]);
    expect(moves(rslora, "sgd")).toEqual([256, 256]);
    expect(moves(rslora, "adamw")).toEqual([32, 128]);
    expect(moves(lora, "sgd")).toEqual([64, 4]);
  });
});
