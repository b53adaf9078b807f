/**
 * Figures by step: those of the rsLoRA paper, loss and gradient norm with one line a rank, the conventions side by side.
 */

import { CONVENTION_NAMES } from "../../adapters/adapter.ts";
import type { Axis, LineChart, Point, Series } from "../report/chart.ts";
import { mean } from "../report/means.ts";
import type { StepRecord } from "../report/run-record.ts";
import { smoothPoints } from "../report/thin.ts";
import type { SeedGroup } from "./cell-result.ts";
import { panelsOf } from "./chart-parts.ts";

const STEP: Axis = { label: "step", scale: "linear" };

/** Points of a curve in a figure of many. */
const CURVE_POINTS = 100;

/** @param at what the titles end with */
export function chartSteps(all: readonly SeedGroup[], lr: number, at: string): LineChart[] {
  const groups = all.filter((group) => group.lr === lr);
  const width = Math.max(1, Math.round((groups[0]?.cells[0]?.steps.length ?? 0) / 40));
  const seeds = groups.some(({ cells }) => cells.length > 1) ? " over the seeds, whose range is shaded" : "";
  const smooth = width > 1 ? `, each smoothed over ${width} steps` : "";
  const charts = [
    lineChart(`Training loss${at}`, "loss", `Mean${seeds}${smooth}.`, groups, (group) =>
      curveOf(group, ({ loss }) => loss, width),
    ),
  ];
  if (groups.some(({ cells }) => cells.some(({ steps }) => steps.some(({ evalLoss }) => evalLoss !== undefined)))) {
    charts.push(
      lineChart(`Evaluation perplexity${at}`, "perplexity", `Mean${seeds}.`, groups, (group) =>
        curveOf(group, ({ evalLoss }) => (evalLoss === undefined ? undefined : Math.exp(evalLoss)), 1),
      ),
    );
  }
  charts.push({
    ...lineChart(
      `Gradient norm${at}`,
      "gradient norm",
      `Over all trained tensors, before clipping; mean${seeds}${smooth}.`,
      groups,
      (group) => curveOf(group, ({ gradNorm }) => gradNorm, width),
    ),
    y: { label: "gradient norm", scale: "log" },
  });
  return charts;
}

function lineChart(
  title: string,
  label: string,
  caption: string,
  groups: readonly SeedGroup[],
  curve: (group: SeedGroup) => Pick<Series, "points" | "band">,
): LineChart {
  const series = groups.map(
    (group): Series => ({
      name: `rank ${group.rank}`,
      panel: CONVENTION_NAMES[group.scaling],
      mark: "line",
      ...curve(group),
    }),
  );
  return {
    kind: "lines",
    title,
    caption,
    x: STEP,
    y: { label, scale: "linear" },
    panels: panelsOf(groups),
    colours: "ordered",
    series,
  };
}

/** Mean and range over the seeds at each step that all of them have. */
function curveOf(
  { cells }: SeedGroup,
  value: (step: StepRecord) => number | undefined,
  width: number,
): Pick<Series, "points" | "band"> {
  const curves = cells.map(({ steps }) => {
    const points = steps.map((step): [number, number | undefined] => [step.step, value(step)]);
    const known = points.filter((point): point is [number, number] => {
      const [, y] = point;
      return y !== undefined && Number.isFinite(y);
    });
    return new Map(smoothPoints(known, width));
  });
  const common = [...(curves[0] ?? new Map<number, number>()).keys()].filter((step) =>
    curves.every((curve) => curve.has(step)),
  );
  const rows = common.map((step) => ({ step, values: curves.map((curve) => curve.get(step) ?? Number.NaN) }));
  // Smoothed curves have no peaks to lose.
  const stride = Math.ceil(rows.length / CURVE_POINTS);
  const shown = rows.filter((_, index) => index % stride === 0 || index === rows.length - 1);
  const points = shown.map(({ step, values }): Point => [step, mean(values)]);
  if (cells.length < 2) return { points };
  return { points, band: shown.map(({ step, values }) => [step, Math.min(...values), Math.max(...values)]) };
}
