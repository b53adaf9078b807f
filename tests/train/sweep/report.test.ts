import { describe, expect, it } from "vitest";
import { chartSweep } from "../../../src/train/sweep/charts.ts";
import { describeResult, writeSweepReport } from "../../../src/train/sweep/report.ts";
import { AS_THE_PAPER_SAYS, makeCells } from "./cells.ts";

const FACTS = { base: "base", data: "<data>", optimizer: "adamw" } as const;
const cells = makeCells(AS_THE_PAPER_SAYS, { ranks: [4, 16, 64], seeds: [1, 2, 3] });

describe("the figures", () => {
  const charts = chartSweep(cells);

  it("are the paper's two, side by side for the conventions, and what ranks and modules make of the end", () => {
    expect(charts.map(({ title }) => title)).toEqual([
      "Training loss",
      "Gradient norm",
      "Gradient norm of the first step",
      "Final loss against rank",
      "Gradient norm by kind of module",
    ]);
    const [loss] = charts;
    if (loss?.kind !== "lines") throw new Error("expected lines");
    expect(loss.panels).toEqual(["LoRA", "rsLoRA"]);
    expect(loss.series.map(({ name, panel }) => `${panel} ${name}`)).toEqual(
      ["LoRA", "rsLoRA"].flatMap((panel) => [4, 16, 64].map((rank) => `${panel} rank ${rank}`)),
    );
  });

  it("show the mean over the seeds inside their range", () => {
    const [loss] = charts;
    if (loss?.kind !== "lines") throw new Error("expected lines");
    const { points = [], band = [] } = loss.series[0] ?? {};
    expect(points).toHaveLength(40);
    // Seeds 1, 2 and 3 lie 0.01 apart.
    band.forEach(([step, low, high], index) => {
      expect(step).toBe(points[index]?.[0]);
      expect(points[index]?.[1]).toBeCloseTo((low + high) / 2, 3);
      expect(high - low).toBeCloseTo(0.02, 3);
    });
  });

  it("leave out curves by step when there is one step", () => {
    const short = chartSweep(makeCells(AS_THE_PAPER_SAYS, { ranks: [4, 16], seeds: [1], steps: 1 }));
    expect(short.map(({ title }) => title)).toEqual([
      "Gradient norm of the first step",
      "Gradient norm by kind of module",
    ]);
  });
});

describe("report.json", () => {
  it("has a row for each cell, with the course of its run", () => {
    const { cells: rows } = describeResult(FACTS, cells);
    expect(rows).toHaveLength(18);
    expect(rows[0]).toMatchObject({ rank: 4, scaling: "lora", lr: 1e-3, seed: 1, diverged: null });
    expect(rows[0]?.steps[0]).toEqual({ step: 1, loss: cells[0]?.steps[0]?.loss, grad_norm: 2 });
    expect(rows[0]?.final_loss).toBe(cells[0]?.steps.at(-1)?.loss);
  });

  it("has null for the end of a run that diverged", () => {
    const [first, ...others] = cells;
    if (first === undefined) throw new Error("no cell");
    const rows = JSON.parse(JSON.stringify(describeResult(FACTS, [{ ...first, diverged: "NaN" }, ...others]))).cells;
    expect(rows[0]).toMatchObject({ final_loss: null, tail_loss: null, diverged: "NaN" });
  });
});

describe("report.html", () => {
  it("tells the claims, the scales and what each makes of the first step", () => {
    const page = writeSweepReport(FACTS, { ranks: "[4,16,64]" }, cells);
    const markup = page.replace(/<script.*?<\/script>/gs, "");
    expect(markup).toContain("&lt;data&gt;");
    expect(markup).toContain("2 of 2 steps up in rank lower the loss");
    expect(markup).toContain("<td>rsLoRA</td><td>64</td><td>16</td><td>2</td><td>1</td><td>4</td>");
    expect(markup).toContain("<td>LoRA</td><td>64</td><td>16</td><td>0.25</td><td>0.0625</td><td>1</td>");
  });
});
