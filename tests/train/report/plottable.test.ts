import { describe, expect, it } from "vitest";
import type { LineChart } from "../../../src/train/report/chart.ts";
import { plottable } from "../../../src/train/report/plottable.ts";

const chart = (scale: "linear" | "log"): LineChart => ({
  kind: "lines",
  title: "",
  caption: "",
  x: { label: "x", scale: "linear" },
  y: { label: "y", scale },
  panels: [],
  colours: "named",
  series: [
    {
      name: "a",
      mark: "line",
      points: [
        [0, 1.23456789],
        [1, 0],
        [2, Number.NaN],
        [3, Number.POSITIVE_INFINITY],
      ],
      band: [
        [0, 1, 2],
        [1, 0, 2],
        [2, 1, Number.POSITIVE_INFINITY],
      ],
    },
  ],
});

const seriesOf = (scale: "linear" | "log") => (plottable(chart(scale)) as LineChart).series[0];

describe("what is drawn", () => {
  it("is finite, and rounded to what a drawing shows", () => {
    expect(seriesOf("linear")?.points).toEqual([
      [0, 1.2346],
      [1, 0],
    ]);
    expect(seriesOf("linear")?.band).toEqual([
      [0, 1, 2],
      [1, 0, 2],
    ]);
  });

  it("is above zero on a logarithmic axis", () => {
    expect(seriesOf("log")?.points).toEqual([[0, 1.2346]]);
    expect(seriesOf("log")?.band).toEqual([[0, 1, 2]]);
  });
});
