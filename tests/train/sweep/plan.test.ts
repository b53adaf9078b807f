import { describe, expect, it } from "vitest";
import { cellName, cellsOfPart, planCells } from "../../../src/train/sweep/cell.ts";
import { assertSweepOptions, axesOf } from "../../../src/train/sweep/options.ts";
import { errorOf } from "../../support/errors.ts";

const AXES = { ranks: [4, 8, 16], scalings: ["lora", "rslora"], lrs: [1e-4, 1e-3], seeds: [1, 2] } as const;
const OPTIONS = { base: "base", data: "data", out: "out", ranks: [8] };

describe("the cells of a sweep", () => {
  const cells = planCells(AXES);

  it("are every combination once, each with a folder of its own", () => {
    expect(cells).toHaveLength(24);
    expect(new Set(cells.map(cellName)).size).toBe(24);
    expect(cellName({ rank: 8, scaling: "rslora", lr: 1e-7, seed: 0 })).toBe("rank-8-rslora-lr-1e-7-seed-0");
  });

  it.each([1, 2, 5, 24, 30])("fall into %i parts, each cell into one", (count) => {
    const parts = Array.from({ length: count }, (_, index) => cellsOfPart(cells, { index: index + 1, count }));
    expect(parts.flat().map(cellName).sort()).toEqual(cells.map(cellName).sort());
    const sizes = parts.map((part) => part.length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });
});

describe("options", () => {
  it("default to both conventions, one learning rate and one seed", () => {
    expect(axesOf(OPTIONS)).toEqual({ ranks: [8], scalings: ["lora", "rslora"], lrs: [2e-4], seeds: [42] });
  });

  it.each([
    ["ranks", { ranks: [] }],
    ["ranks", { ranks: [8, 8] }],
    ["ranks", { ranks: [0] }],
    ["ranks", { ranks: [1.5] }],
    ["lrs", { lrs: [0] }],
    ["lrs", { lrs: [Number.POSITIVE_INFINITY] }],
    ["seeds", { seeds: [-1] }],
    ["scalings", { scalings: ["other" as "lora"] }],
  ])("refuse wrong %s by name", async (name, given) => {
    const error = await errorOf(() => axesOf({ ...OPTIONS, ...given }));
    expect([error.code, error.subject]).toEqual(["INVALID_OPTION", name]);
  });

  it("refuse a part together with finish, and no jobs", async () => {
    const part = { index: 1, count: 2 };
    expect((await errorOf(() => assertSweepOptions({ ...OPTIONS, part, finish: true }))).code).toBe("INVALID_OPTION");
    expect((await errorOf(() => assertSweepOptions({ ...OPTIONS, jobs: 0 }))).subject).toBe("jobs");
  });
});
