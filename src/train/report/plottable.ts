/**
 * A chart without what cannot be drawn: numbers that are not finite, and those below or at zero on a logarithmic axis. The
 * others are rounded to what a drawing can show, so that a report stays small.
 */

import type { Chart, LineChart, Series } from "./chart.ts";

export function plottable(chart: Chart): Chart {
  return chart.kind === "lines"
    ? { ...chart, series: chart.series.map((series) => plottableSeries(chart, series)) }
    : chart;
}

function plottableSeries({ x, y }: LineChart, series: Series): Series {
  const fits = (value: number, scale: typeof x.scale) => Number.isFinite(value) && (scale === "linear" || value > 0);
  const points = series.points
    .filter(([left, height]) => fits(left, x.scale) && fits(height, y.scale))
    .map(([left, height]) => [left, round(height)] as const);
  if (series.band === undefined) return { ...series, points };
  const band = series.band
    .filter(([left, low, high]) => fits(left, x.scale) && fits(low, y.scale) && fits(high, y.scale))
    .map(([left, low, high]) => [left, round(low), round(high)] as const);
  return { ...series, points, band };
}

function round(value: number): number {
  return Number(value.toPrecision(5));
}
